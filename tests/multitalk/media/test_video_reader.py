from fractions import Fraction
from pathlib import Path

import av
import psutil
import pytest
import torch
from evertalk_pack.multitalk.common.errors import ResultError
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.media import video_reader
from evertalk_pack.multitalk.media.picture_reader import read_picture, read_pictures
from evertalk_pack.multitalk.media.sound_track import SoundTrack
from evertalk_pack.multitalk.media.video_reader import probe_video, read_frames
from evertalk_pack.multitalk.media.video_writer import VideoWriter
from hostile_files import png
from source_clips import claim_frames, grey, write_clip

HELD = 40
"""Frames that are held at once."""


def num_threads() -> int:
    """The threads of this process."""
    return psutil.Process().num_threads()


def test_frames_are_float_in_the_unit_range(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 32, 16, None) as writer:
        writer.write(torch.rand(5, 16, 32, 3, generator=torch.Generator().manual_seed(0)))
    frames_FHWC = read_frames(path)
    assert (frames_FHWC.dtype, tuple(frames_FHWC.shape)) == (torch.float32, (5, 16, 32, 3))
    assert 0 <= float(frames_FHWC.min()) < 0.3
    assert 0.7 < float(frames_FHWC.max()) <= 1


def test_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video at all")
    with pytest.raises(ResultError, match=r"a\.mp4 cannot be read as a video.*run the sampler again"):
        read_frames(path)


def test_file_that_claims_more_frames_than_memory_holds_is_named(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [(number / 25, grey(90, 512, 512)) for number in range(3)])
    claim_frames(clip, 2**18)  # 800 GB as floats
    with pytest.raises(ResultError, match=r"a\.mp4 says that it has 262144 frames of 512x512, more than fit"):
        read_frames(clip)


def test_file_without_a_video_stream_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        track = SoundTrack(container, Waveform(torch.zeros(1, 16000), 16000), Fraction(25))
        track.take_rest()
        track.flush()
    with pytest.raises(ResultError, match="holds no video stream"):
        probe_video(path)


def test_pictures_are_read_one_by_one(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 16), (255, 128, 0)).save(tmp_path / "a.png")
    Image.new("L", (32, 16), 51).save(tmp_path / "b.png")
    colour_HWC, grey_HWC = read_pictures([tmp_path / "a.png", tmp_path / "b.png"])
    assert (colour_HWC[0, 0] * 255).tolist() == [255, 128, 0]
    torch.testing.assert_close(grey_HWC, torch.full((16, 32, 3), 0.2))


@pytest.mark.parametrize("claimed", [(40, 30), (60_000, 60_000)])
def test_picture_that_claims_too_much_is_refused_before_it_is_decoded(
    tmp_path: Path, claimed: tuple[int, int]
) -> None:
    path = tmp_path / "000001.png"
    path.write_bytes(png(*claimed))
    with pytest.raises(ResultError, match=r"000001.png cannot be read: it is damaged, or has more than"):
        read_picture(path, max_pixels=1_000)


def test_picture_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "000001.png").mkdir()
    with pytest.raises(ResultError, match=r"000001.png cannot be read"):
        list(read_pictures([tmp_path / "000001.png"]))


def test_video_of_huge_pictures_is_named(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [(number / 25, grey(90)) for number in range(3)])
    with pytest.raises(ResultError, match=r"a.mp4 has pictures of 64x64, expected 0 million pixels at most"):
        probe_video(clip, max_pixels=1_000)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_frames_that_are_held_keep_no_threads(pixels: str) -> None:
    frames = [av.VideoFrame(64, 64, pixels) for _ in range(HELD)]
    before = num_threads()
    read = [video_reader.rgb_frame(frame) for frame in frames]
    assert num_threads() - before < HELD
    assert len(read) == HELD
