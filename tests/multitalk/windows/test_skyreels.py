"""SkyReels' windows: what they let go, what they end on, and what their weights insist on."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows import skyreels
from evertalk_pack.multitalk.windows.finish import LookSettings, look_for_windows
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowRequest, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import MODES, WindowInputs
from evertalk_pack.multitalk.windows.plan import FIRST_CLIP, Window
from evertalk_pack.multitalk.windows.schedule_windows import windows_under
from evertalk_pack.multitalk.windows.seeds import seeded_noise
from evertalk_pack.multitalk.windows.settings import (
    FIXED_STEPS,
    NoiseSchedule,
    WindowSettings,
    checked_schedule,
)
from evertalk_pack.wanvideo.schedule import SKYREELS_TIMESTEPS, fixed_timesteps, infinitetalk_timesteps

SMALL = WindowSettings(21, 5)
SIDE = 8


def test_the_schedule_is_evenly_spaced_and_takes_nothing_else() -> None:
    assert torch.equal(fixed_timesteps(SKYREELS_TIMESTEPS, 11), infinitetalk_timesteps(4, 11))
    used, notes = checked_schedule(NoiseSchedule("skyreels", 20, 3.0, "lcm"))
    assert (used.steps, used.shift, used.sampler, used.renews_noise) == (4, 11.0, "euler", False)
    assert "(1000, 667, 334, 1) at shift 11 with sampler euler; steps=20, shift=3 and" in notes[0]
    assert notes[0].startswith(FIXED_STEPS), "it is told as no warning"


def test_windows_of_real_size_advance_by_64_frames() -> None:
    windows = skyreels.plan_windows(200, skyreels.WINDOWS)
    assert windows == (
        Window(0, 0, 81, 0, 69, dropped=12),
        Window(1, 64, 81, 5, 64, dropped=12),
        Window(2, 128, 81, 5, 67),
    )


@pytest.mark.parametrize("frames", [1, 20, 21, 22, 25, 26, 60])
def test_each_frame_of_the_video_is_given_once(frames: int) -> None:
    windows = windows_under("skyreels", frames, SMALL)
    given = [place for one in windows for place in range(one.start + one.skipped, one.end)]
    assert given == list(range(frames))
    assert all(one.dropped == 12 for one in windows[:-1])
    assert windows[-1].dropped == 0
    for one, following in pairwise(windows):
        assert one.start + one.kept == following.start + following.motion, "motion frames are the last kept"


def test_speech_shorter_than_a_window_has_no_clip_before_it() -> None:
    assert skyreels.first_clip_of(skyreels.plan_windows(80, skyreels.WINDOWS), 80) is None
    clip = skyreels.first_clip_of(skyreels.plan_windows(81, skyreels.WINDOWS), 81)
    assert clip is not None
    assert clip.anchors == (80,)


def test_stills_are_spread_over_the_clip_and_the_last_is_its_end() -> None:
    clip = skyreels.first_clip_of(skyreels.plan_windows(200, skyreels.WINDOWS), 200)
    assert clip is not None
    assert clip.anchors == (31, 55, 80)
    assert clip.window == Window(FIRST_CLIP, 0, 81, 0, 81)
    long = skyreels.first_clip_of(skyreels.plan_windows(90_000, skyreels.WINDOWS), 90_000)
    assert long is not None
    assert len(long.wanted) <= 81 < len(long.anchors)


def test_windows_too_short_for_what_they_let_go_are_refused() -> None:
    skyreels.check_windows(WindowSettings(21, 5))
    with pytest.raises(InputError, match=r"window_frames: 17 frames, expected 18 or more: .* Use 81 with 5"):
        windows_under("skyreels", 60, WindowSettings(17, 5))


def test_no_more_frames_are_blended_than_a_window_adds() -> None:
    look, notes = look_for_windows(LookSettings(blend_frames=5), SMALL, skyreels.DROPPED_FRAMES)
    assert look.blend_frames == 3
    assert notes[0].startswith("blend_frames 5 became 3")


def test_clip_vision_sees_the_first_motion_frame() -> None:
    mode = MODES["skyreels"]()
    motion_FHWC = torch.rand(5, SIDE, SIDE, 3)
    reference = torch.rand(SIDE, SIDE, 3)

    def kept(frames_FHWC: torch.Tensor) -> torch.Tensor:
        return frames_FHWC.movedim(-1, 0)[None]

    later = mode.condition(WindowInputs(reference, motion_FHWC, 21), kept)
    assert torch.equal(later.clip_frame_HWC, motion_FHWC[0])
    assert later.pin is not None
    assert later.pin.noised
    first = mode.condition(WindowInputs(reference, None, 21), kept)
    assert torch.equal(first.clip_frame_HWC, reference)
    assert first.pin is None


class Counting:
    """A backend whose frames say in what order they were made, and which notes what it is asked for."""

    def __init__(self) -> None:
        self.requests: list[WindowRequest] = []
        self.encoded: list[torch.Tensor] = []

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        self.encoded.append(frames_FHWC)
        return torch.zeros(1, 16, (len(frames_FHWC) + 3) // 4, 1, 1)

    def sample(self, request: WindowRequest) -> torch.Tensor:
        self.requests.append(request)
        return torch.zeros(1, 16, 6, 1, 1)

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        del latents_BCTHW
        frames = torch.arange(21.0) / 100 + len(self.requests) / 10
        return frames[:, None, None, None].expand(-1, SIDE, SIDE, 3).clone()


def test_windows_end_on_stills_of_the_clip_and_hand_on_only_what_they_keep() -> None:
    windows = skyreels.plan_windows(25, SMALL)
    clip = skyreels.first_clip_of(windows, 25)
    assert clip is not None
    backend = Counting()
    spec = RunSpec(
        windows=windows,
        mode=MODES["skyreels"](),
        height_px=SIDE,
        width_px=SIDE,
        reference=lambda _window: torch.zeros(SIDE, SIDE, 3),
        voices=lambda _window: WindowVoices(torch.zeros(1, 21, 5, 1, 1)),
        finish=lambda _window, frames_FHWC: frames_FHWC,
        noise=lambda window: seeded_noise(1, window.index),
    )
    clip_FHWC = skyreels.make_first_clip(clip, spec, backend)
    assert len(clip_FHWC) == 21, "the clip is kept whole"
    made = list(generate(ended(spec, clip, clip_FHWC), backend))
    assert [one.window.index for one in backend.requests] == [FIRST_CLIP, 0, 1]
    for picture, anchor in zip(backend.encoded[1:], clip.anchors, strict=True):
        assert torch.equal(picture[-5:], clip_FHWC[anchor].expand(5, -1, -1, -1))
    assert made[0].motion_FHWC is not None
    assert torch.equal(made[0].motion_FHWC, made[0].made_FHWC[4:9]), "the last 12 of 21 are gone"
    assert [len(one.made_FHWC) for one in made] == [9, 21]
    noise = [request.noise_BCTHW for request in backend.requests]
    assert not torch.equal(noise[0], noise[1]), "the clip has noise of its own"


def ended(spec: RunSpec, clip: skyreels.FirstClip, clip_FHWC: torch.Tensor) -> RunSpec:
    return replace(spec, ending=skyreels.stills_of(clip, clip_FHWC.__getitem__))
