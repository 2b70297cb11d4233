"""Segments put together are the video that they were cut from: frames, times, sound."""

from array import array
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import av
import pytest
import torch
from evertalk_pack.multitalk.common.errors import RunStoreError
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.media.clip_times import read_clip_times
from evertalk_pack.multitalk.media.frame_clock import TimedClock
from evertalk_pack.multitalk.media.segment import Piece, check_frames, remux, write_segment
from evertalk_pack.multitalk.media.stream_codecs import VideoSettings
from evertalk_pack.multitalk.media.video_reader import probe_video, read_frames

LENGTHS = (9, 1, 2, 3, 30)
"""Short ones too: x264 holds back two frames, and a scene may have fewer."""

SETTINGS = VideoSettings(preset="veryfast")


def frames_of(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 1, 3, generator=generator).expand(count, 32, 48, 3)


@pytest.fixture
def pieces(tmp_path: Path) -> list[Piece]:
    made: list[Piece] = []
    for number, count in enumerate(LENGTHS):
        path = tmp_path / f"{number}.mp4"
        write_segment(path, frames_of(count, number), SETTINGS)
        made.append(Piece(path, 0, count))
    return made


def silence(seconds: float) -> Waveform:
    return Waveform(torch.zeros(1, int(seconds * 16_000)), 16_000)


def test_each_segment_plays_by_itself_and_begins_with_a_key_frame(pieces: list[Piece]) -> None:
    for piece, count in zip(pieces, LENGTHS, strict=True):
        assert len(read_frames(piece.path)) == count
        with av.open(str(piece.path)) as container:
            assert next(container.demux(container.streams.video[0])).is_keyframe


def test_video_has_the_segments_frames_one_after_the_other(tmp_path: Path, pieces: list[Piece]) -> None:
    path = tmp_path / "whole.mp4"
    assert remux(path, pieces, silence(1.8), {}, SETTINGS, complete=True) == sum(LENGTHS)
    expected = torch.cat([read_frames(piece.path) for piece in pieces])
    assert torch.equal(read_frames(path), expected)
    assert probe_video(path).frames == sum(LENGTHS)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        shown = sorted(packet.pts * packet.time_base * 25 for packet in packets if packet.pts is not None)
        decoded = [packet.dts for packet in packets if packet.dts is not None]
    assert shown == list(range(sum(LENGTHS)))
    assert all(before < after for before, after in pairwise(decoded))


def test_video_keeps_metadata_and_the_whole_sound(tmp_path: Path, pieces: list[Piece]) -> None:
    path = tmp_path / "whole.mp4"
    remux(path, pieces, silence(3), {"prompt": "{}"}, SETTINGS, complete=True)
    with av.open(str(path)) as container:
        assert container.metadata["prompt"] == "{}"
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples >= 3 * 16_000


def test_incomplete_video_ends_its_sound_with_its_frames(tmp_path: Path, pieces: list[Piece]) -> None:
    path = tmp_path / "part.mp4"
    remux(path, pieces[:1], silence(3), {}, SETTINGS, complete=False)
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 16_000 == pytest.approx(9 / 25, abs=0.1)


def test_silent_video_has_no_sound_stream(tmp_path: Path, pieces: list[Piece]) -> None:
    path = tmp_path / "silent.mp4"
    remux(path, pieces, None, {}, SETTINGS, complete=True)
    with av.open(str(path)) as container:
        assert not container.streams.audio


def test_pieces_can_be_cut_out_of_a_whole_video_again(tmp_path: Path, pieces: list[Piece]) -> None:
    whole, again = tmp_path / "whole.mp4", tmp_path / "again.mp4"
    remux(whole, pieces, silence(1.8), {}, SETTINGS, complete=True)
    start = 0
    for piece in pieces:
        remux(again, [Piece(whole, start, piece.frames)], None, {}, SETTINGS, complete=True)
        assert torch.equal(read_frames(again), read_frames(piece.path))
        start += piece.frames


def test_file_that_lost_frames_is_noticed(tmp_path: Path, pieces: list[Piece]) -> None:
    with pytest.raises(RunStoreError, match=r"4\.mp4 has 30 frames after 31 were written"):
        check_frames(pieces[-1].path, 31)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(pieces[0].path.read_bytes()[:100])
    with pytest.raises(RunStoreError, match=r"broken\.mp4 cannot be read back"):
        check_frames(broken, 9)


def test_frames_at_times_of_their_own_keep_them_and_are_found_by_them(
    tmp_path: Path, pieces: list[Piece]
) -> None:
    steps = [2000 + 500 * (number % 7) for number in range(sum(LENGTHS))]
    stamps = array("q", accumulate(steps[:-1], initial=0))
    clock = TimedClock(stamps, Fraction(1, 90000), 3000)
    whole, again = tmp_path / "whole.mp4", tmp_path / "again.mp4"
    assert remux(whole, pieces, silence(1.8), {}, SETTINGS, clock=clock, complete=True) == sum(LENGTHS)
    check_frames(whole, sum(LENGTHS), clock)
    found = read_clip_times(str(whole))
    shown_s = [float(stamp * found.base) for stamp in found.stamps]
    assert shown_s == pytest.approx([stamp / 90000 for stamp in stamps], abs=1e-4)
    start = LENGTHS[0] + LENGTHS[1]
    remux(again, [Piece(whole, start, LENGTHS[2], clock)], None, {}, SETTINGS, complete=True)
    assert torch.equal(read_frames(again), read_frames(pieces[2].path))
