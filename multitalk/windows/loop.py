"""The window loop: one window after the other, each from the end of the one before.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames, S voices, K encoder frames around a frame, L encoder layers, M masks, P tokens of a frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from ...wanvideo.geometry import LATENT_CHANNELS, LatentShape
from ..common.errors import WINDOWS_KEPT, InputError
from .ending import Ending
from .modes import WindowCondition, WindowInputs, WindowMode
from .plan import Window
from .seeds import Draw


@dataclass(frozen=True, slots=True)
class WindowVoices:
    """Who speaks in a window, and where they are.

    Attributes:
        audio_SFKLC: encoder features of the window, a voice a row.
        token_masks_MP: with several voices, a mask a voice and then the background, over the tokens of a
            frame.
    """

    audio_SFKLC: torch.Tensor
    token_masks_MP: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """One window's inputs to the sampler.

    Attributes:
        window: which one.
        condition: picture, mask and motion frames.
        voices: who speaks.
        noise_BCTHW: the starting noise.
        more_noise: begins the window's further draws, for pins that want fresh noise at every model call;
            a window that is sampled again, on another attention backend, draws the same.
        start_BCTHW: raw VAE latents that the noise is laid over, or None: sampling starts from noise alone.
    """

    window: Window
    condition: WindowCondition
    voices: WindowVoices
    noise_BCTHW: torch.Tensor
    more_noise: Callable[[], Draw]
    start_BCTHW: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class FinishedWindow:
    """What a window gave.

    Attributes:
        window: which one.
        latents_BCTHW: raw VAE latents of the whole window.
        made_FHWC: its frames, 0..1, but those that are dropped: those that it shares with the window before,
            in its own rendering, or that lead in, those that it adds to the video, and, where it ends early,
            those behind.
        motion_FHWC: the last of them, which the next window begins from; None if it begins afresh, or there
            is none.
    """

    window: Window
    latents_BCTHW: torch.Tensor
    made_FHWC: torch.Tensor
    motion_FHWC: torch.Tensor | None = None

    @property
    def overlap_FHWC(self) -> torch.Tensor:  # noqa: N802  # letters of a shape
        """Its own rendering of the motion frames that come before what it adds; none in the first."""
        return self.made_FHWC[: self.window.motion]

    @property
    def frames_FHWC(self) -> torch.Tensor:  # noqa: N802  # letters of a shape
        """The frames that it adds to the video."""
        first = self.window.skipped
        return self.made_FHWC[first : first + self.window.new]


class SamplingBackend(Protocol):
    """What only the host can do."""

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """Raw VAE latents (1, 16, T, H / 8, W / 8) of frames 0..1."""
        ...

    def sample(self, request: WindowRequest) -> torch.Tensor:
        """Denoise a window to raw VAE latents (1, 16, T, H / 8, W / 8)."""
        ...

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """Frames (F, H, W, 3), 0..1, of raw VAE latents."""
        ...


def no_ending(window: Window) -> Ending | None:
    """A window that ends as it likes."""
    del window


@dataclass(frozen=True, slots=True)
class RunSpec:
    """A run as the loop reads it: all that decides its result but the weights.

    Attributes:
        windows: the plan.
        mode: how windows are conditioned.
        height_px: height of the frames.
        width_px: width of the frames.
        reference: a window's picture (H, W, 3), 0..1; the same tensor where it does not change.
        voices: who speaks in a window.
        finish: last touch on a window's decoded frames (F, H, W, 3), before the next window sees them; it
            may change them in place.
        noise: a window's noise; the first draw is the starting noise.
        start: frames (F, H, W, 3), 0..1, of a window that is made over rather than made, or None.
        ending: what a window ends on, or None.
    """

    windows: tuple[Window, ...]
    mode: WindowMode
    height_px: int
    width_px: int
    reference: Callable[[Window], torch.Tensor]
    voices: Callable[[Window], WindowVoices]
    finish: Callable[[Window, torch.Tensor], torch.Tensor]
    noise: Callable[[Window], Draw]
    start: Callable[[Window], torch.Tensor] | None = None
    ending: Callable[[Window], Ending | None] = no_ending


def generate(
    spec: RunSpec, sampling_backend: SamplingBackend, first: int = 0, motion_FHWC: torch.Tensor | None = None
) -> Iterator[FinishedWindow]:
    """Sample the windows of a run in order; each is yielded when its frames are final.

    Args:
        spec: the run.
        sampling_backend: the host's part.
        first: index of the window to begin with; its result is the same as if those before were sampled.
        motion_FHWC: the last frames of the window before, as many as window `first` takes over; else None.
    """
    for window in spec.windows[first:]:
        latents = sampling_backend.sample(request_window(spec, sampling_backend, window, motion_FHWC))
        motion_FHWC = None  # encoded by now: let go before there are new frames
        # Looked at before the colours are matched too: what that says of NaN helps nobody.
        made_FHWC = checked_numbers(window, sampling_backend.decode(latents)[: window.kept])
        made_FHWC = checked_numbers(window, spec.finish(window, made_FHWC))
        motion = spec.windows[window.index + 1].motion if window.index + 1 < len(spec.windows) else 0
        finished = FinishedWindow(window, latents, made_FHWC, made_FHWC[-motion:] if motion else None)
        yield finished
        # A copy, and only now that the window has been handed on: else all of it would stay in memory while
        # the next one is made.
        motion_FHWC = None if finished.motion_FHWC is None else finished.motion_FHWC.clone()
        del latents, made_FHWC, finished


def checked_numbers(window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
    """A window's frames, 0..1, all of them numbers: the windows behind begin from them.

    Raises:
        InputError: some are NaN or infinite.
    """
    # The sum is not a number where a value is none, and takes no copy of the frames.
    if not frames_FHWC.sum(dtype=torch.float32).isfinite():
        raise InputError(
            f"vae: the frames of window {window.number} hold NaN or infinite values. Queue the workflow "
            "again; if they do so again, start ComfyUI with --fp32-vae, or choose another file of the VAE or "
            f"another colour match. {WINDOWS_KEPT}"
        )
    return frames_FHWC


def request_window(
    spec: RunSpec, sampling_backend: SamplingBackend, window: Window, motion_FHWC: torch.Tensor | None
) -> WindowRequest:
    """Gather what a window needs: condition, audio and noise."""
    known = WindowInputs(spec.reference(window), motion_FHWC, window.frames, spec.ending(window))
    condition = spec.mode.condition(known, sampling_backend.encode)
    grid = LatentShape.of_video(window.frames, spec.height_px, spec.width_px)
    start = None if spec.start is None else sampling_backend.encode(spec.start(window))
    shape = (1, LATENT_CHANNELS, *grid)

    def more_noise() -> Draw:
        draw = spec.noise(window)
        draw(shape)
        return draw

    return WindowRequest(
        window=window,
        condition=condition,
        voices=spec.voices(window),
        noise_BCTHW=spec.noise(window)(shape),
        more_noise=more_noise,
        start_BCTHW=start,
    )
