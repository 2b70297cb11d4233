"""The host's VIDEO values as source clips."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from source_clips import at_fps, level_of, write_clip

pytestmark = pytest.mark.host


def test_file_is_read_where_it_lies(tmp_path: Path) -> None:
    from comfy_api.latest._input_impl.video_types import VideoFromFile
    from evertalk_pack.nodes.host.codecs.clip import clip_of

    path = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 10))
    clip = clip_of(VideoFromFile(str(path)))
    assert (clip.video, clip.name) == (str(path), "a.mp4")


def test_pictures_that_the_host_holds_in_memory_are_read_as_a_clip() -> None:
    from comfy_api.latest._input_impl.video_types import VideoFromComponents
    from comfy_api.latest._util import VideoComponents
    from evertalk_pack.nodes.host.codecs.clip import clip_of

    pictures = [torch.from_numpy(picture) / 255 for _, picture in at_fps(Fraction(30), 30)]
    video = VideoFromComponents(VideoComponents(images=torch.stack(pictures), frame_rate=Fraction(30)))
    clip = clip_of(video)
    assert isinstance(clip.video, bytes)
    assert clip.duration_s == pytest.approx(1.0, abs=0.05)
    reader = clip.reader()
    assert [level_of(reader.frame_at(time_s)) for time_s in (0.9, 0.2)] == [27, 6]


@pytest.mark.parametrize(
    ("start_s", "duration_s", "begin"), [(0.2, 0.0, "0.2"), (0.0, 0.1, "0"), (-0.1, 0.0, "0.3")]
)
def test_video_that_a_node_trimmed_is_refused(
    tmp_path: Path, start_s: float, duration_s: float, begin: str
) -> None:
    from comfy_api.latest import InputImpl
    from evertalk_pack.nodes.host.codecs.clip import clip_of

    video: Any = InputImpl.VideoFromFile(str(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 10))))
    if not hasattr(video, "as_trimmed"):
        pytest.skip("this ComfyUI trims no videos")
    with pytest.raises(InputError, match=rf"trimmed a\.mp4 to begin at {begin} s.* set start_s to {begin};"):
        clip_of(video.as_trimmed(start_s, duration_s))
    assert clip_of(video.as_trimmed(0.0, 0.0)).name == "a.mp4"


@pytest.mark.parametrize("video", [None, {"path": "a.mp4"}])
def test_value_that_is_no_video_is_refused(video: object) -> None:
    from evertalk_pack.nodes.host.codecs.clip import clip_of

    with pytest.raises(InputError, match=r"source_video: \w+, expected a VIDEO\. Connect Load Video"):
        clip_of(video)


def test_video_whose_data_cannot_be_had_is_refused() -> None:
    from comfy_api.latest._input_impl.video_types import VideoFromComponents
    from comfy_api.latest._util import VideoComponents
    from evertalk_pack.nodes.host.codecs.clip import clip_of

    odd = VideoComponents(images=torch.zeros(3, 15, 15, 3), frame_rate=Fraction(25))  # H.264 wants even sides
    with pytest.raises(InputError, match=r"source_video: the video cannot be encoded"):
        clip_of(VideoFromComponents(odd))


def test_cuts_are_found_in_the_host(tmp_path: Path) -> None:
    from evertalk_pack.multitalk.dubbing.source import open_source
    from evertalk_pack.nodes.host.codecs.clip import find_scene_cuts
    from source_clips import grey

    frames = [(k / 25, grey(40 if k < 30 else 200)) for k in range(60)]
    assert find_scene_cuts(open_source(write_clip(tmp_path / "a.mp4", frames)), 27.0) == pytest.approx(
        (1.2,), abs=1e-4
    )


def test_search_for_cuts_stops_when_the_user_interrupts(tmp_path: Path) -> None:
    import comfy.model_management
    from evertalk_pack.multitalk.dubbing.source import open_source
    from evertalk_pack.nodes.host.codecs.clip import find_scene_cuts

    clip = open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 10)))
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        find_scene_cuts(clip, 27.0)
