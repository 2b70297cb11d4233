"""The window loop at cuts, and with frames to start from."""

from dataclasses import dataclass, field

import torch
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowRequest, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from evertalk_pack.multitalk.windows.seeds import seeded_noise

SIDE_PX = 16


@dataclass
class NumberingBackend:
    """Every window decodes to frames that hold its number; notes what it was asked for."""

    requests: list[WindowRequest] = field(default_factory=list)
    encoded: list[tuple[int, float]] = field(default_factory=list)

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        self.encoded.append((len(frames_FHWC), float(frames_FHWC[0].mean())))
        frames = (len(frames_FHWC) - 1) // 4 + 1
        return frames_FHWC[0].mean().expand(1, 16, frames, SIDE_PX // 8, SIDE_PX // 8)

    def sample(self, request: WindowRequest) -> torch.Tensor:
        self.requests.append(request)
        return torch.full_like(request.noise_BCTHW, request.window.index + 1)

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        frames = (latents_BCTHW.shape[2] - 1) * 4 + 1
        return torch.full((frames, SIDE_PX, SIDE_PX, 3), float(latents_BCTHW.mean()))


def spec(windows: tuple[Window, ...], *, dense: bool = False) -> RunSpec:
    def picture(window: Window) -> torch.Tensor:
        return torch.full((SIDE_PX, SIDE_PX, 3), 0.01 * window.start)

    return RunSpec(
        windows=windows,
        mode=InfiniteTalkMode(),
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        reference=picture,
        voices=lambda _window: WindowVoices(torch.zeros(1, 9, 5, 2, 4)),
        finish=lambda _window, frames_FHWC: frames_FHWC,
        noise=lambda window: seeded_noise(0, window.index),
        start=(lambda window: picture(window)[None].expand(window.frames, -1, -1, -1) + 0.5)
        if dense
        else None,
    )


def pinned_values(backend: NumberingBackend) -> list[tuple[int, float]]:
    """Latent frames that each window pins, and what they hold."""
    pins = [request.condition.pin for request in backend.requests]
    return [(pin.latents_BCTHW.shape[2], round(float(pin.latents_BCTHW.mean()), 4)) for pin in pins if pin]


def test_window_at_a_cut_takes_its_own_reference_and_nothing_of_the_window_before() -> None:
    backend = NumberingBackend()
    finished = list(generate(spec(plan_windows(20, 9, 5, cuts=[12])), backend))
    assert [(window.window.start, window.window.motion) for window in finished] == [(0, 0), (4, 5), (12, 0)]
    # the first pins its reference, one latent; the second the end of the first; the third its own reference
    assert pinned_values(backend) == [(1, 0.0), (2, 1.0), (1, 0.12)]
    assert [len(window.frames_FHWC) for window in finished] == [9, 3, 8]


def test_windows_made_over_carry_the_latents_of_their_start_frames() -> None:
    backend = NumberingBackend()
    list(generate(spec(plan_windows(13, 9, 5), dense=True), backend))
    starts = [request.start_BCTHW for request in backend.requests]
    assert [(start.shape, round(float(start.mean()), 4)) for start in starts if start is not None] == [
        ((1, 16, 3, 2, 2), 0.5),
        ((1, 16, 3, 2, 2), 0.54),
    ]


def test_windows_made_anew_start_from_noise_alone() -> None:
    backend = NumberingBackend()
    list(generate(spec(plan_windows(13, 9, 5)), backend))
    assert [request.start_BCTHW for request in backend.requests] == [None, None]
