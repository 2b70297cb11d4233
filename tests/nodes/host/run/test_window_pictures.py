"""What a run's windows see when a clip is connected."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from source_clips import at_fps, write_clip

pytestmark = pytest.mark.host


@pytest.fixture
def source(tmp_path: Path) -> Any:
    """A clip of 96x64 pixels with a cut at 0.4 s."""
    from evertalk_pack.multitalk.dubbing.clip import DubSource
    from evertalk_pack.multitalk.dubbing.source import open_source

    pictures = [(time_s, picture[:, :48].repeat(2, axis=1)) for time_s, picture in at_fps(Fraction(25), 20)]
    return DubSource(open_source(write_clip(tmp_path / "a.mp4", pictures)), cuts_s=(0.4,))


def pictures_of(source: Any, *, cues: Any = None, look: Any = None) -> Any:
    from evertalk_pack.multitalk.windows.finish import LookSettings
    from evertalk_pack.multitalk.windows.prompt_timeline import PromptTimeline
    from evertalk_pack.multitalk.windows.settings import FrameSize
    from evertalk_pack.nodes.host.run.window_pictures import first_picture, run_pictures

    return run_pictures(
        first_picture(None, source),
        source,
        cues or PromptTimeline(),
        look or LookSettings(),
        FrameSize(32, 32),
        video_frames=30,
    )


def test_references_have_the_videos_size_and_notes_say_cuts_and_length(source: Any) -> None:
    from evertalk_pack.multitalk.windows.plan import plan_windows
    from evertalk_pack.multitalk.windows.settings import FrameSize
    from evertalk_pack.nodes.host.run.window_pictures import opened

    pictures = pictures_of(source)
    assert pictures.reference is None, "the clip is opened when the run starts"
    assert source.cuts == (10,)
    dub = opened(source, FrameSize(32, 32))
    assert tuple(dub.reference(plan_windows(30, 9, 5, source.cuts)[1]).shape) == (32, 32, 3)
    cut_note, length_note = pictures.notes
    assert cut_note == "source: another scene begins at 0.40 s: windows begin afresh there"
    assert "0.80 s of clip for 1.20 s of speech" in length_note


def test_of_very_many_cuts_the_first_and_the_last_are_told(source: Any) -> None:
    from evertalk_pack.nodes.host.run.window_pictures import SHOWN_CUTS, scene_notes

    (note,) = scene_notes(replace(source, cuts_s=tuple(map(float, range(1, 10_000)))), video_frames=200_000)
    assert note.startswith("source: another scene begins at 1.00, 2.00, 3.00")
    assert note.endswith(f"{SHOWN_CUTS - 1}.00, ..., 7999.00 s: windows begin afresh there")


def test_clip_decides_the_shape_and_neither_is_refused(source: Any) -> None:
    from evertalk_pack.nodes.host.run.window_pictures import first_picture

    image = torch.zeros(1, 8, 8, 3)
    assert first_picture(None, source).notes == first_picture(image, None).notes == ()
    assert "start_image is not used" in first_picture(image, source).notes[0]
    assert tuple(first_picture(None, source).pixels_HWC.shape) == (64, 96, 3)
    with pytest.raises(InputError, match=r"start_image: nothing is connected, and no source either"):
        first_picture(None, None)


def test_pictures_of_a_schedule_over_a_clip_are_refused(source: Any) -> None:
    from evertalk_pack.multitalk.windows.prompt_timeline import Keyframe, PromptTimeline

    cues = PromptTimeline(pictures=(Keyframe(0.0, torch.zeros(32, 32, 3)),))
    with pytest.raises(InputError, match=r"schedule: it brings pictures .* disconnect the source"):
        pictures_of(source, cues=cues)


def test_end_image_over_a_clip_is_refused(source: Any) -> None:
    from evertalk_pack.multitalk.windows.prompt_timeline import PromptTimeline

    cues = PromptTimeline(end_BHWC=torch.zeros(1, 32, 32, 3))
    with pytest.raises(InputError, match=r"schedule: it brings pictures .* disconnect the source"):
        pictures_of(source, cues=cues)


def test_camera_move_over_a_clip_is_refused(source: Any) -> None:
    from evertalk_pack.multitalk.windows.camera import CameraMove
    from evertalk_pack.multitalk.windows.finish import LookSettings

    look = LookSettings(camera=CameraMove(zoom=1.2))
    with pytest.raises(InputError, match=r"look: it brings pictures or a camera move"):
        pictures_of(source, look=look)


def test_other_value_on_the_source_socket_is_refused() -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions

    with pytest.raises(InputError, match=r"source: str, expected DubSource\. Connect EverTalk Video Source"):
        RunOptions.of({"source": "a.mp4"})
