"""Long speech in chunks: as in one pass up to the reach of attention, close to it beyond."""

import shutil
from collections.abc import Callable, Mapping, Sized
from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common import tensor_file
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.speech.chunks import (
    CHUNK_FRAMES,
    EncodeContext,
    chunks_of,
    encode_in_chunks,
    encoding_disk_bytes,
)
from evertalk_pack.multitalk.speech.config import SpeechEncoderConfig
from evertalk_pack.multitalk.speech.encoder import SpeechEncoder
from evertalk_pack.multitalk.speech.waveform import SAMPLES_PER_FRAME
from tiny_speech import BASE, LARGE, speech_like, tiny_encoder

STYLES = pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
FRAMES = 640
TAIL = 83
AS_USUAL = EncodeContext()


@pytest.fixture
def track() -> torch.Tensor:
    sound_T = speech_like(FRAMES * SAMPLES_PER_FRAME) + 0.02
    sound_T[-TAIL * SAMPLES_PER_FRAME :] = 0
    return sound_T


def chunked(encoder: SpeechEncoder, track: torch.Tensor, context: EncodeContext = AS_USUAL) -> torch.Tensor:
    real = (FRAMES - TAIL) * SAMPLES_PER_FRAME
    return torch.cat(list(encode_in_chunks(encoder, track, FRAMES, real, context)))


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Relative, in the Euclidean norm."""
    return float((ours - theirs).norm() / theirs.norm())


@STYLES
def test_track_of_one_chunk_is_what_one_pass_gives(config: SpeechEncoderConfig, track: torch.Tensor) -> None:
    encoder = tiny_encoder(config)
    assert torch.equal(chunked(encoder, track), encoder(track, FRAMES, (FRAMES - TAIL) * 640))


@STYLES
@pytest.mark.parametrize("chunk_frames", [50, 77, 639])
def test_chunks_within_the_reach_of_attention_give_what_one_pass_gives(
    config: SpeechEncoderConfig, track: torch.Tensor, chunk_frames: int, tmp_path: Path
) -> None:
    encoder = tiny_encoder(config)
    whole_NLC = encoder(track, FRAMES, (FRAMES - TAIL) * SAMPLES_PER_FRAME)
    context = EncodeContext(folder=tmp_path, chunk_frames=chunk_frames)
    assert difference(chunked(encoder, track, context), whole_NLC) < 1e-5
    assert list(tmp_path.iterdir()) == []


@STYLES
def test_beyond_the_reach_the_difference_is_small_and_falls_as_it_grows(
    config: SpeechEncoderConfig, track: torch.Tensor, record_property: Callable[[str, object], None]
) -> None:
    encoder = tiny_encoder(config)
    whole_NLC = encoder(track, FRAMES, (FRAMES - TAIL) * SAMPLES_PER_FRAME)
    found = [
        difference(chunked(encoder, track, EncodeContext(chunk_frames=80, reach_frames=reach)), whole_NLC)
        for reach in (40, 160, 400)
    ]
    record_property("difference by a reach of 40, 160 and 400 of 640 frames", found)
    assert found[0] > found[1] > found[2] > 0
    assert found[2] <= 1e-2


@STYLES
def test_statistics_are_those_of_the_whole_track(config: SpeechEncoderConfig, track: torch.Tensor) -> None:
    """A track that is loud at one place only: each chunk's own statistics would be others."""
    encoder = tiny_encoder(config)
    track[: 300 * SAMPLES_PER_FRAME] *= 0.01
    whole_NLC = encoder(track, FRAMES, (FRAMES - TAIL) * SAMPLES_PER_FRAME)
    assert difference(chunked(encoder, track, EncodeContext(chunk_frames=64)), whole_NLC) < 1e-5
    alone_NLC = encoder(track[: 64 * SAMPLES_PER_FRAME], 64)
    assert difference(alone_NLC, whole_NLC[:64]) > 0.01


@pytest.mark.parametrize("num_frames", [1, 1999, 2000, 2001, 90_083])
def test_every_frame_is_in_one_chunk(num_frames: int) -> None:
    chunks = list(chunks_of(num_frames))
    assert [frame for chunk in chunks for frame in chunk] == list(range(num_frames))
    assert max(map(len, chunks)) <= CHUNK_FRAMES


def test_whoever_stops_a_long_encoding_is_heard(track: torch.Tensor) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    context = EncodeContext(check=stop, chunk_frames=80)
    with pytest.raises(KeyboardInterrupt):
        next(encode_in_chunks(tiny_encoder(), track, FRAMES, FRAMES * 640, context))


def test_long_track_that_is_no_whole_frames_is_refused() -> None:
    context = EncodeContext(chunk_frames=5)
    with pytest.raises(AssertionError, match="whole frames"):
        next(encode_in_chunks(tiny_encoder(), torch.zeros(6 * 640 + 1), 6, 640, context))


def test_files_of_a_long_track_take_no_more_than_was_said(
    track: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "SPILL_BYTES", 0)
    encoder, most, real = tiny_encoder(BASE), 0, (FRAMES - TAIL) * SAMPLES_PER_FRAME
    maps: Mapping[Sized, int] = vars(tensor_file)["_MAPS"]
    before = {id(map_) for map_ in maps}

    def look() -> None:
        nonlocal most
        most = max(most, sum(len(map_) for map_ in maps if id(map_) not in before))

    context = EncodeContext(folder=tmp_path, check=look, chunk_frames=50)
    pieces = encode_in_chunks(encoder, track, FRAMES, real, context)
    made_NLC = tensor_file.gathered(pieces, tmp_path)
    told = encoding_disk_bytes(encoder.config, FRAMES)
    assert 0.4 * told < most + made_NLC.numel() * 4 <= told


def test_long_track_is_refused_before_it_is_encoded_where_the_disk_has_no_room(
    track: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)

    def little(_folder: Path) -> object:
        return usage

    monkeypatch.setattr(shutil, "disk_usage", little)
    heard: list[object] = []
    folder = tmp_path / "temp" / "later"
    context = EncodeContext(folder=folder, check=lambda: heard.append(None), chunk_frames=50)
    with pytest.raises(InputError, match=r"later has 0\.0 GB free, but this speech and its features take"):
        list(encode_in_chunks(tiny_encoder(BASE), track, FRAMES, FRAMES * 640, context))
    assert not heard
