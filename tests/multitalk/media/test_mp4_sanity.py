"""An mp4 of some kilobytes that claims millions of samples is refused before FFmpeg makes room for them."""

import struct
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media.mp4_sanity import claims_too_much
from evertalk_pack.multitalk.media.sound_file import read_sound
from source_clips import at_fps, claim_frames, write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", at_fps(Fraction(25), 20), sound_s=1.0)


def fragmented(path: Path) -> Path:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        for _ in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_honest_files_pass(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    (tmp_path / "empty").write_bytes(b"")
    pcm = tmp_path / "pcm.mov"
    with av.open(str(pcm), "w") as container:
        stream = container.add_stream("pcm_u8", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 80_000), 128, np.uint8), format="u8", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    files = (clip, fragmented(tmp_path / "fragments.mp4"), pcm, tmp_path / "notes.txt", tmp_path / "empty")
    for file in files:
        assert not claims_too_much(str(file))
        assert not claims_too_much(file.read_bytes())


def test_mad_number_of_samples_is_refused_at_once(clip: Path, tmp_path: Path) -> None:
    claim_frames(clip, 2**27)
    started_s = time.process_time()
    with pytest.raises(InputError, match=r"source_video: clip\.mp4 names more samples than it has bytes"):
        open_source(clip)
    with pytest.raises(InputError, match=r"audio: clip\.mp4 names more samples than it has bytes"):
        read_sound(clip, tmp_path, lambda: None)
    assert time.process_time() - started_s < 2


def test_mad_fragment_is_seen(tmp_path: Path) -> None:
    path = fragmented(tmp_path / "fragments.mp4")
    data = bytearray(path.read_bytes())
    place = data.index(b"trun") + 4
    data[place : place + 8] = struct.pack(">II", 1, 2**28)
    assert claims_too_much(bytes(data))


def test_any_damage_is_looked_through_in_no_time(clip: Path) -> None:
    data, draw = clip.read_bytes(), np.random.default_rng(0)
    started_s = time.process_time()
    for _ in range(500):
        damaged = bytearray(data)
        for place in draw.integers(0, len(data), 8):
            damaged[place] = draw.integers(256)
        claims_too_much(bytes(damaged[: draw.integers(len(data))]))
    assert time.process_time() - started_s < 20


def test_endless_boxes_are_not_counted_to_their_end() -> None:
    boxes = struct.pack(">I4s", 8, b"free") * 1000
    assert claims_too_much(boxes, max_boxes=100)
    assert not claims_too_much(boxes[:80], max_boxes=100)
