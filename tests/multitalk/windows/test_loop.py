from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from evertalk_pack.multitalk.windows.joins import FrameChunk, join_windows
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowRequest, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode, MultiTalkMode, WindowMode
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from evertalk_pack.multitalk.windows.seeds import seeded_noise
from evertalk_pack.wanvideo.geometry import latent_frames
from frames_in_memory import frames_in_memory

SIDE = 16
WINDOW, MOTION = 9, 5


@dataclass
class CountingBackend:
    """Frame n of a window shows (start + n) / 1000, whatever was sampled; keeps the requests."""

    requests: list[WindowRequest] = field(default_factory=list)
    encoded: list[torch.Tensor] = field(default_factory=list)

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        self.encoded.append(frames_FHWC)
        return torch.zeros(1, 16, latent_frames(len(frames_FHWC)), SIDE // 8, SIDE // 8)

    def sample(self, request: WindowRequest) -> torch.Tensor:
        self.requests.append(request)
        return torch.full_like(request.noise_BCTHW, request.window.start)

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        places = latents_BCTHW[0, 0, 0, 0, 0] + torch.arange(WINDOW)
        return (places / 1000)[:, None, None, None].expand(WINDOW, SIDE, SIDE, 3).clone()


def as_it_is(_window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
    return frames_FHWC


def lighter(_window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
    return frames_FHWC + 0.5


def spec(video_frames: int, finish: Callable[[Window, torch.Tensor], torch.Tensor] = as_it_is) -> RunSpec:
    picture = torch.zeros(SIDE, SIDE, 3)
    return RunSpec(
        windows=plan_windows(video_frames, WINDOW, MOTION),
        mode=InfiniteTalkMode(),
        height_px=SIDE,
        width_px=SIDE,
        reference=lambda _window: picture,
        voices=lambda window: WindowVoices(torch.full((1, WINDOW, 5, 2, 8), float(window.start))),
        finish=finish,
        noise=lambda window: seeded_noise(0, window.index),
    )


def test_the_finished_windows_are_the_video() -> None:
    finished = list(generate(spec(22), CountingBackend()))
    video = torch.cat([window.frames_FHWC for window in finished])
    assert (video[:, 0, 0, 0] * 1000).round().tolist() == list(range(22))


def test_each_window_continues_from_the_last_frames_of_the_one_before() -> None:
    backend = CountingBackend()
    list(generate(spec(17), backend))
    motions = [frames for frames in backend.encoded if len(frames) == MOTION]
    shown = [(frames[:, 0, 0, 0] * 1000).round().tolist() for frames in motions]
    assert shown == [[4, 5, 6, 7, 8], [8, 9, 10, 11, 12]]


def test_the_finishing_touch_reaches_the_video_and_the_next_window() -> None:
    backend = CountingBackend()
    finished = list(generate(spec(13, lighter), backend))
    assert finished[0].frames_FHWC.min() >= 0.5
    assert backend.encoded[-1].min() >= 0.5


def test_each_window_hears_its_own_audio_and_gets_its_own_noise() -> None:
    backend = CountingBackend()
    list(generate(spec(17), backend))
    assert [request.voices.audio_SFKLC.flatten()[0].item() for request in backend.requests] == [0, 4, 8]
    noises = [request.noise_BCTHW for request in backend.requests]
    assert noises[0].shape == (1, 16, 3, SIDE // 8, SIDE // 8)
    assert not torch.equal(noises[0], noises[1])


def test_further_draws_do_not_repeat_the_starting_noise() -> None:
    backend = CountingBackend()
    list(generate(spec(9), backend))
    (request,) = backend.requests
    shape = tuple(request.noise_BCTHW.shape)
    first, again = request.more_noise(), request.more_noise()
    more = first(shape)
    assert not torch.equal(more, request.noise_BCTHW)
    assert not torch.equal(more, first(shape))
    assert torch.equal(more, again(shape)), "a window that is begun again draws the same"


def test_windows_are_made_on_demand() -> None:
    backend = CountingBackend()
    playing = generate(spec(200), backend)
    next(playing)
    assert len(backend.requests) == 1, "the second window waits until the first was taken"


class Weighing:
    """Notes how many frames are in memory while conditions are encoded, and otherwise."""

    def __init__(self) -> None:
        self.most_encoding = self.most = 0

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        self.most_encoding = max(self.most_encoding, frames_in_memory(SIDE, SIDE))
        return torch.zeros(1, 16, latent_frames(len(frames_FHWC)), SIDE // 8, SIDE // 8)

    def sample(self, request: WindowRequest) -> torch.Tensor:
        self.weigh()
        return torch.full_like(request.noise_BCTHW, request.window.start)

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        decoded = CountingBackend().decode(latents_BCTHW)
        self.weigh()
        return decoded

    def weigh(self) -> None:
        self.most = max(self.most, frames_in_memory(SIDE, SIDE))


@pytest.mark.parametrize("mode", [InfiniteTalkMode, MultiTalkMode])
@pytest.mark.parametrize("blend_frames", [0, 1])
def test_while_a_window_is_made_no_more_than_the_one_before_is_in_memory(
    mode: Callable[[], WindowMode], blend_frames: int
) -> None:
    plan = replace(spec(WINDOW + 7 * 6), mode=mode(), windows=plan_windows(WINDOW + 7 * 6, WINDOW, 3))
    backend = Weighing()
    written: list[FrameChunk] = []
    stretches = join_windows(generate(plan, backend), blend_frames, len(plan.windows))
    for stretch in stretches:
        backend.weigh()
        written = [stretch]  # as the writer, on a busy machine: it has each until it is given the next
        del stretch
    assert written[0].is_last
    assert backend.most <= 2 * WINDOW + blend_frames, "two windows, and the frames that wait for the second"
    # The grey behind the motion frames (MultiTalk) is a window too; frames that wait are held for it.
    assert backend.most_encoding <= 2 * WINDOW + 3 + blend_frames


def test_the_last_window_need_not_be_whole() -> None:
    *_, last = generate(spec(10), CountingBackend())
    assert last.window == Window(1, 4, WINDOW, MOTION, 1)
    assert len(last.frames_FHWC) == 1
    assert last.latents_BCTHW.shape[2] == latent_frames(WINDOW)
