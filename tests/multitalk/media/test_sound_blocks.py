"""Damaged bytes inside of a sound track: silence in their place, and what follows stays in time."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch
from av.audio.stream import AudioStream
from av.error import InvalidDataError
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import FPS, Waveform
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media import sound_blocks
from evertalk_pack.multitalk.media.sound_blocks import Gap, gap_notes
from evertalk_pack.multitalk.media.sound_file import read_sound
from source_clips import at_fps, write_clip

RATE_HZ, SECONDS = 48_000, 6
CLICKS_S = (0.5, 1.5, 5.2, 5.6)
"""Bursts of a tone begin here; the damage lies in the middle."""

NOISE_S, BURST_S, PACKET = 20, 18.5, 960

TIMELESS = ("a.aac", "a.mp3", "a.ac3")
"""Files without times: what is lost of them has no length."""

FILES = {
    "a.m4a": "aac",
    "a.mkv": "aac",
    "a.aac": "aac",
    "a.ts": "aac",
    "a.mp3": "libmp3lame",
    "a.flac": "flac",
    "a.opus": "libopus",
    "a.ac3": "ac3",
}


def never() -> None:
    """Nobody stops."""


def bursts() -> torch.Tensor:
    """Noise as loud as speech, so that packets hold bytes, and louder bursts of a tone; (T,)."""
    time_s = torch.arange(RATE_HZ * SECONDS) / RATE_HZ
    sound_T = 0.02 * torch.randn(len(time_s), generator=torch.Generator().manual_seed(0))
    for start_s in CLICKS_S:
        inside = (time_s >= start_s) & (time_s < start_s + 0.1)
        sound_T += 0.5 * inside * (2 * torch.pi * 1000 * time_s).sin()
    return sound_T


def written(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=RATE_HZ, layout="mono"))
        frame = av.AudioFrame.from_ndarray(bursts()[None].numpy(), format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        for each in (stream.encode(frame), stream.encode(None)):
            container.mux(each)
    return path


def damaged(path: Path, part: float = 0.5, count: int = 1500) -> Path:
    data = bytearray(path.read_bytes())
    place = int(len(data) * part)
    data[place : place + count] = bytes(count)
    path.write_bytes(data)
    return path


def onsets_s(sound: Waveform) -> list[float]:
    """When the bursts begin."""
    time_s = torch.arange(sound.samples_CT.shape[1]) / sound.sample_rate_hz
    loud_T = sound.samples_CT[0].abs() > 0.3
    return [
        float(time_s[(time_s > start_s - 0.15) & (time_s < start_s + 0.15) & loud_T][0])
        for start_s in CLICKS_S
    ]


@pytest.mark.parametrize(("name", "codec"), FILES.items())
def test_what_follows_a_damaged_place_is_heard_in_time_and_the_place_is_told(
    tmp_path: Path, name: str, codec: str
) -> None:
    whole = read_sound(written(tmp_path / name, codec), tmp_path, never)
    assert whole.notes == ()
    lead_s = onsets_s(whole)[0] - CLICKS_S[0]
    sound = read_sound(damaged(tmp_path / name), tmp_path, never)
    if name not in TIMELESS:
        assert abs(sound.duration_s - whole.duration_s) < 0.05
        for found_s, start_s in zip(onsets_s(sound), CLICKS_S, strict=True):
            assert abs(found_s - lead_s - start_s) < 0.05
    if name == "a.ts":
        return  # FFmpeg itself hides so short a gap there
    (note,) = sound.notes
    assert note.startswith(f"audio: the sound of {name} is damaged or missing at ")
    assert note.endswith("there is silence instead. If words are lost, choose an undamaged copy.")


def test_place_of_the_damage_is_silent_and_named(tmp_path: Path) -> None:
    path = damaged(written(tmp_path / "a.m4a", "aac"))
    sound = read_sound(path, tmp_path, never)
    (note,) = sound.notes
    start_s, end_s = (float(word) for word in note.split(" missing at ")[1].split(" s;")[0].split(" to "))
    assert 2 < start_s < end_s < 4
    silent_T = sound.samples_CT[0, round(start_s * RATE_HZ) + 500 : round(end_s * RATE_HZ) - 500]
    assert len(silent_T) > 1000
    assert int(silent_T.count_nonzero()) == 0


@pytest.mark.parametrize("part", [0.05, 0.97])
def test_damage_at_the_edges_keeps_the_length(tmp_path: Path, part: float) -> None:
    path = written(tmp_path / "a.aac", "aac")
    whole = read_sound(path, tmp_path, never)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    for packet in packets[:3] if part < 0.5 else packets[-3:]:
        assert packet.pos is not None
        data[packet.pos + 7 : packet.pos + packet.size] = bytes(packet.size - 7)  # behind the packet's header
    path.write_bytes(data)
    sound = read_sound(path, tmp_path, never)
    assert abs(sound.samples_CT.shape[1] - whole.samples_CT.shape[1]) <= 1024


def test_damaged_sound_of_a_clip_that_is_dubbed(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", at_fps(Fraction(25), 100), sound_s=4.0)
    whole = open_source(clip).sound()
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    for packet in packets[20:24]:
        place = data.index(bytes(packet))
        data[place : place + packet.size] = bytes(packet.size)
    clip.write_bytes(data)
    sound = open_source(clip).sound()
    assert abs(sound.samples_CT.shape[1] - whole.samples_CT.shape[1]) <= 32, (
        "times are rounded to milliseconds"
    )
    (note,) = sound.notes
    assert note.startswith("audio: the sound of clip.mkv is damaged or missing at 1.2")
    assert np.allclose(whole.samples_CT[:, 40_000:60_000], sound.samples_CT[:, 40_000:60_000], atol=0.6)


def test_a_sound_of_which_nothing_can_be_decoded_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.m4a", "aac")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(data)
    with pytest.raises(
        InputError, match=r"audio: a\.m4a cannot be read as a sound \(.*it is damaged"
    ) as caught:
        read_sound(path, tmp_path, never)
    assert isinstance(caught.value.__cause__, InvalidDataError)


def with_times(path: Path, codec: str, late_s: Callable[[float], float]) -> Path:
    """Noise that ends in a tone, whose packets' times are later by so many seconds."""
    time_s = np.arange(RATE_HZ * NOISE_S) / RATE_HZ
    sound_T = 0.02 * np.random.default_rng(0).standard_normal(len(time_s))
    sound_T += 0.5 * (time_s >= BURST_S) * np.sin(2 * np.pi * 1000 * time_s)
    with av.open(str(path), "w") as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=RATE_HZ, layout="mono"))
        kind, values = ("flt", sound_T) if codec == "aac" else ("s16", sound_T * 32767)
        for first in (*range(0, len(sound_T), PACKET), None):
            frame = None
            if first is not None:
                part_CT = values[None, first : first + PACKET].astype("f4" if kind == "flt" else "i2")
                frame = av.AudioFrame.from_ndarray(part_CT, format=kind, layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, first, Fraction(1, RATE_HZ)
            for packet in stream.encode(frame):
                assert packet.pts is not None
                packet.pts += round(late_s(max(0.0, float(packet.pts * packet.time_base))) / packet.time_base)
                packet.dts = packet.pts
                container.mux(packet)
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.mkv", "aac"), ("a.m4a", "aac")])
def test_small_gaps_that_add_up_are_filled(tmp_path: Path, name: str, codec: str) -> None:
    path = with_times(tmp_path / name, codec, lambda time_s: 0.02 * int(time_s))
    sound = read_sound(path, tmp_path, never)
    assert abs(sound.duration_s - (NOISE_S + (NOISE_S - 1) * 0.02)) <= 1 / FPS
    loud_T = (sound.samples_CT[0].abs() > 0.3).nonzero()
    assert abs(float(loud_T[0]) / RATE_HZ - (BURST_S + int(BURST_S) * 0.02)) <= 1 / FPS
    (note,) = sound.notes
    assert note.startswith(f"audio: the sound of {name} is damaged or missing at 3.0")


def as_it_came(time_s: float) -> float:
    """Every other packet 12 ms late."""
    return 0.012 * (int(50 * time_s) % 2)


def fast_clock(time_s: float) -> float:
    """5 ms more each second."""
    return 0.005 * time_s


@pytest.mark.parametrize(
    "late_s",
    [as_it_came, fast_clock],
    ids=["times at which packets came", "a recorder's clock"],
)
@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.m4a", "aac")])
def test_sound_without_gaps_stays_whole_though_its_times_are_not_those_of_its_samples(
    tmp_path: Path, name: str, codec: str, late_s: Callable[[float], float]
) -> None:
    even = read_sound(with_times(tmp_path / f"even-{name}", codec, lambda _: 0.0), tmp_path, never)
    sound = read_sound(with_times(tmp_path / name, codec, late_s), tmp_path, never)
    assert sound.notes == ()
    assert torch.equal(sound.samples_CT, even.samples_CT)


def test_many_gaps_are_counted() -> None:
    gaps = [Gap(k, k + 0.25) for k in range(5)]
    (note,) = gap_notes(gaps, "audio", "a.mp3")
    assert "at 0.00 to 0.25 s, 1.00 to 1.25 s, 2.00 to 2.25 s and 2 more places; " in note
    assert gap_notes([], "audio", "a.mp3") == ()


def test_sound_of_which_most_is_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = damaged(written(tmp_path / "a.m4a", "aac"))
    monkeypatch.setattr(sound_blocks, "MAX_FILLED_S", 0.01)
    assert read_sound(path, tmp_path, never).notes, "short beside what is there: told, not refused"
    monkeypatch.setattr(sound_blocks, "FILLED_SHARE", 0)
    with pytest.raises(InputError, match=r"a.m4a cannot be read as a sound \(more than .* minutes of it are"):
        read_sound(path, tmp_path, never)
