"""The sampler's optional settings sockets: what they replace, and what they say."""

from dataclasses import replace
from typing import Any

import pytest
import tiny_host
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.windows.camera import CameraMove
from evertalk_pack.multitalk.windows.finish import LookSettings
from evertalk_pack.multitalk.windows.prompt_timeline import Keyframe, PromptTimeline

pytestmark = pytest.mark.host

VIDEO_FRAMES = 17
SPEECH = AudioEmbeds(
    (torch.zeros(VIDEO_FRAMES + TAIL_FRAMES, 1, 8),), VIDEO_FRAMES, Waveform(torch.zeros(1, 640), 16000)
)
DARK, LIGHT = torch.zeros(48, 80, 3), torch.ones(48, 80, 3)


def plan(has_negative: bool = False, widgets: dict[str, Any] | None = None, **options: Any) -> Any:
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets

    asked = SamplerWidgets.of(tiny_host.widgets(**(widgets or {})))
    inputs = PlanInputs(asked, SPEECH, tiny_host.picture(), RunOptions(**options), has_negative)
    return plan_run(inputs)


def said(planned: Any, words: str) -> bool:
    return any(words in note for note in planned.notes)


def test_connected_guidance_replaces_the_samplers_scales_and_says_so() -> None:
    guidance = GuidanceSettings(1, 3, apg=True)
    planned = plan(widgets={"audio_scale": 2.0}, guidance=guidance)
    assert planned.guidance == guidance
    assert said(planned, "text_scale 1 and audio_scale 3 from the socket; the sampler's own 1 and 2 are not")
    assert plan(widgets={"audio_scale": 2.0}).guidance == GuidanceSettings(1, 2)


def test_connected_text_scale_needs_a_negative_prompt() -> None:
    with pytest.raises(InputError, match="negative: nothing is connected, but text_scale 5"):
        plan(guidance=GuidanceSettings(5, 1))
    assert plan(has_negative=True, guidance=GuidanceSettings(5, 1)).guidance.text_scale == 5


def test_scheduled_pictures_take_the_place_of_the_start_image() -> None:
    schedule = PromptTimeline(pictures=(Keyframe(0.0, DARK), Keyframe(0.5, LIGHT)))
    planned = plan(schedule=schedule)
    levels = [float(planned.reference(window).mean()) for window in planned.windows]
    assert levels == [0.0, 0.0, 1.0], "new frames begin at 0, 0.36 and 0.52 s"
    assert planned.reference(planned.windows[2]).shape == (tiny_host.SIDE_PX, tiny_host.SIDE_PX, 3)
    assert planned.reference(planned.windows[0]) is planned.picture_HWC
    assert said(planned, "take the place of start_image")


def test_cues_behind_the_last_window_are_named() -> None:
    prompts = (Keyframe(0.0, []), Keyframe(30.0, []))
    assert said(plan(schedule=PromptTimeline(prompts=prompts)), "prompt 2 from 30 s is not used")


def test_camera_shows_each_window_another_part_and_colours_refer_to_the_first() -> None:
    planned = plan(look=LookSettings(camera=CameraMove(zoom=1.5)))
    shots = [planned.reference(window) for window in planned.windows]
    assert torch.equal(shots[0], planned.picture_HWC)
    corners = torch.stack([shot[0, 0].mean() for shot in shots])
    assert (corners.diff() > 0.01).all(), "the ramp's dark corner moves out of sight"


def test_still_picture_is_one_tensor_in_all_windows() -> None:
    planned = plan(look=LookSettings(colour_strength=0.5))
    assert all(planned.reference(window) is planned.picture_HWC for window in planned.windows)


def test_blend_is_cut_to_the_windows_and_said() -> None:
    planned = plan(look=LookSettings(blend_frames=30))
    assert planned.look.blend_frames == 3
    assert said(planned, "blend_frames 30 became 3")


def test_several_speakers_under_a_moving_camera_are_remarked_upon() -> None:
    from evertalk_pack.nodes.host.run.plan import moving_places_notes

    moving = LookSettings(camera=CameraMove(zoom=1.1))
    two = replace(SPEECH, tracks_NLC=SPEECH.tracks_NLC * 2)
    assert "speakers' places stay" in moving_places_notes(two, moving)[0]
    assert moving_places_notes(two, LookSettings()) == ()
    assert moving_places_notes(SPEECH, moving) == ()


@pytest.mark.parametrize("socket", ["guidance", "schedule", "look"])
def test_something_else_in_a_socket_is_refused(socket: str) -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions

    with pytest.raises(InputError, match=rf"{socket}: str, expected .*Connect EverTalk"):
        RunOptions.of({socket: "text"})
