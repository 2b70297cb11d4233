"""A run with a toy backend, through the window loop and the run store; no weights, milliseconds a window.

Shape letters: F frames, H and W pixels or latent rows and columns, C channels, B batch, T latent frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from evertalk_pack.multitalk.common.fingerprint import chained, fingerprint
from evertalk_pack.multitalk.common.safe_path import checked_prefix
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.media.output_format import MP4_H264, OutputFormat
from evertalk_pack.multitalk.media.stream_codecs import VideoSettings
from evertalk_pack.multitalk.runs.folder import RunPlace, store_error
from evertalk_pack.multitalk.runs.identity import Resume, RunIdentity, VideoForm
from evertalk_pack.multitalk.runs.manifest import WindowRecord, WindowStats
from evertalk_pack.multitalk.runs.overlap_file import WindowOverlap
from evertalk_pack.multitalk.runs.pausing import Pausing
from evertalk_pack.multitalk.runs.store import RunStore
from evertalk_pack.multitalk.runs.window_records import USUAL_RULES, StoreRules
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowRequest, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.seeds import WindowSeeds, seeded_noise
from torch.nn import functional as F

SIZE = 64
WINDOW_FRAMES = 17
MOTION_FRAMES = 5
RATE_HZ = 16_000
QUICK = VideoSettings(preset="ultrafast")


class ToyBackend:
    """Frames are blurred noise, drawn towards the motion frames; counts the windows it samples."""

    def __init__(self) -> None:
        self.sampled: list[int] = []

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """Means of 8 x 8 pixels; of every fourth frame."""
        means_FCHW = F.avg_pool2d(frames_FHWC[::4].movedim(-1, 1), 8)
        return means_FCHW.movedim(0, 1).repeat(6, 1, 1, 1)[None, :16]

    def sample(self, request: WindowRequest) -> torch.Tensor:
        """The window's noise around the mean of what it begins from."""
        self.sampled.append(request.window.index)
        assert request.condition.pin is not None
        return request.noise_BCTHW * 0.2 + request.condition.pin.latents_BCTHW.mean()

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """Three of the channels, enlarged."""
        small_FCHW = latents_BCTHW[0, :3].repeat_interleave(4, dim=1)[:, 3:].movedim(0, 1)
        return F.interpolate(small_FCHW, scale_factor=8.0, mode="bilinear").movedim(1, -1)


@dataclass
class ToyRun:
    """A run of toy windows.

    Attributes:
        output: the output folder.
        frames: length of the video.
        window_frames, side_px: of its windows.
        seed: of the noise.
        prefix: of file names.
        final_prefix: of the finished video's, where it is another: it may hold the date.
        resume: see RunStore.
        before_window: called with each window's index before it is made; may raise.
        backend: counts what is made.
        said: what the store told.
        store: the store, once the run has begun.
        window_seeds: windows with a seed of their own.
        pausing: stops the run between windows.
        written: see RunStore.
        written_as: the form of the video.
        rules: see RunStore.
    """

    output: Path
    frames: int = 60
    window_frames: int = WINDOW_FRAMES
    side_px: int = SIZE
    seed: int = 0
    prefix: str = "EverTalk/toy"
    final_prefix: str = ""
    resume: Resume = Resume.AUTO
    before_window: Callable[[int], None] | None = None
    settings: VideoSettings = QUICK
    backend: ToyBackend = field(default_factory=ToyBackend)
    said: list[str] = field(default_factory=list[str])
    store: RunStore | None = None
    window_seeds: WindowSeeds = field(default_factory=WindowSeeds)
    pausing: Pausing = field(default_factory=Pausing)
    written: Callable[[WindowRecord, Path | None], None] | None = None
    written_as: OutputFormat = MP4_H264
    rules: StoreRules = USUAL_RULES

    @property
    def sound(self) -> Waveform:
        """A voice of noise; of a longer run the same from the beginning on."""
        generator = torch.Generator().manual_seed(7)
        samples = torch.rand(1, 40 * RATE_HZ, generator=generator)[:, : self.frames * RATE_HZ // 25] - 0.5
        return Waveform(samples * 0.1, RATE_HZ)

    def card(self) -> RunIdentity:
        """What the run is known by."""
        windows = plan_windows(self.frames, self.window_frames, MOTION_FRAMES)
        keys: list[str] = []
        for window in windows:
            start, end = window.start * RATE_HZ // 25, (window.start + window.frames) * RATE_HZ // 25
            heard = self.sound.samples_CT[:, start:end]
            own = self.window_seeds.of(window.index)
            keys.append(
                chained(keys[-1] if keys else "", self.seed, own, window, heard, self.written_as.name)
            )
        whole = fingerprint(keys, self.sound)
        return RunIdentity(whole, tuple(keys), windows, {"seed": str(self.seed)})

    def place(self) -> RunPlace:
        """Where its files go; a disk that does not answer is told as the host's part tells it."""
        try:
            prefix = checked_prefix(self.prefix, self.output)
            final = checked_prefix(self.final_prefix, self.output) if self.final_prefix else prefix
        except OSError as error:
            raise store_error(self.output, error) from error
        return RunPlace(self.output, prefix, final)

    def new_store(self) -> RunStore:
        """A store of this run."""
        form = VideoForm(
            self.side_px, self.side_px, self.sound, {"prompt": "{}"}, self.settings, self.written_as
        )
        store = RunStore(
            *(self.place(), self.card(), form, self.resume),
            say=self.said.append,
            written=self.written,
            rules=self.rules,
        )
        store.review = self.pausing.after
        return store

    def spec(self) -> RunSpec:
        """What is played."""
        picture_HWC = torch.full((self.side_px, self.side_px, 3), 0.4)
        silence = torch.zeros(1, self.window_frames, 5, 1, 1)
        return RunSpec(
            windows=self.card().windows,
            mode=InfiniteTalkMode(),
            height_px=self.side_px,
            width_px=self.side_px,
            reference=lambda _window: picture_HWC,
            voices=lambda _window: WindowVoices(silence),
            finish=lambda _window, frames_FHWC: frames_FHWC,
            noise=lambda window: seeded_noise(
                self.window_seeds.of_run(self.seed, window.index), window.index
            ),
        )

    def play(self) -> Path:
        """Make what is not finished yet; the finished video's path."""
        spec = self.spec()
        with self.new_store() as self.store:
            if self.resume is Resume.ONLY_FINISHED:
                return self.store.keep_finished()
            for done in generate(spec, self.backend, self.store.first, self.store.carry.motion_FHWC):
                if self.before_window is not None:
                    self.before_window(done.window.index)
                self.store.add(
                    done.window, done.frames_FHWC, WindowOverlap(done.motion_FHWC), lambda: WindowStats(0.5)
                )
                if self.pausing.is_due(done.window.index) and done.motion_FHWC is not None:
                    return self.store.keep_finished()
            return self.store.finish()


NO_WAITING = StoreRules(stale_s=0.0)
"""For ToyRun.rules: the lock of a run that ended in this process is nobody's, and nobody is waited for."""


class StopError(Exception):
    """Stands for whatever ends a run early."""


@dataclass(frozen=True, slots=True)
class Stop:
    """For ToyRun.before_window: ends the run before this window."""

    index: int

    def __call__(self, window: int) -> None:
        if window == self.index:
            raise StopError


def bytes_of(video: Path) -> dict[str, bytes]:
    """What a finished video is made of, by file name."""
    if video.is_dir():
        return {file.name: file.read_bytes() for file in sorted(video.iterdir())}
    return {"": video.read_bytes()}
