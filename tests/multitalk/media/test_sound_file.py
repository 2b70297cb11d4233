"""Sounds of any length and kind from files, hostile ones too, in bounded memory."""

import struct
import sys
import time
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from evertalk_pack.multitalk.common import tensor_file
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.media import sound_file
from evertalk_pack.multitalk.media.sound_file import read_sound
from hostile_files import wav

CODECS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".mp4": "aac"}


def never() -> None:
    """Nobody stops."""


def write_tone(path: Path, seconds: float, rate_hz: int = 44_100, channels: int = 2) -> torch.Tensor:
    """A sine of another pitch in each channel, (C, T)."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    tone_CT = np.stack([0.5 * np.sin(2 * np.pi * 220 * (1 + each) * time_s) for each in range(channels)])
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]
    with av.open(str(path), "w") as container:
        stream = cast("AudioStream", container.add_stream(CODECS[path.suffix], rate=rate_hz, layout=layout))
        samples = (tone_CT.T * 32_767).astype(np.int16).reshape(1, -1)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return torch.from_numpy(tone_CT).float()


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("spill_bytes", [1000, 10**9])
def test_sound_of_a_file_comes_at_its_own_rate_and_channels(
    tmp_path: Path, suffix: str, spill_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "SPILL_BYTES", spill_bytes)
    tone_CT = write_tone(tmp_path / f"tone{suffix}", 1.5)
    sound = read_sound(tmp_path / f"tone{suffix}", tmp_path / "temp", never)
    assert sound.sample_rate_hz == 44_100
    assert sound.samples_CT.is_contiguous()
    assert abs(sound.samples_CT.shape[1] - tone_CT.shape[1]) < 2500, "codecs add their own edges"
    if suffix in (".wav", ".flac"):
        assert torch.allclose(sound.samples_CT, tone_CT, atol=1e-4)
    assert sound.samples_CT[0, 10_000:50_000].std() == pytest.approx(0.5 / 2**0.5, rel=0.1)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("samples", [12_800, 1024, 1500, 20_000])
def test_sound_of_an_mp4_file_is_as_long_as_what_was_written(
    tmp_path: Path, rate_hz: int, samples: int
) -> None:
    # The number of video frames hangs on it, and must not depend on the release of PyAV.
    write_tone(tmp_path / "speech.mp4", samples / rate_hz, rate_hz, channels=1)
    assert read_sound(tmp_path / "speech.mp4", tmp_path, never).samples_CT.shape == (1, samples)


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (6, 6), (8, 2)])
def test_channels_are_kept_up_to_seven(tmp_path: Path, channels: int, kept: int) -> None:
    write_tone(tmp_path / "many.flac", 0.2, channels=channels)
    assert read_sound(tmp_path / "many.flac", tmp_path, never).samples_CT.shape == (kept, 8820)


def test_long_sound_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_file, "SPILL_BYTES", 10**6)
    write_tone(tmp_path / "long.flac", 120)
    tracemalloc.start()
    sound = read_sound(tmp_path / "long.flac", tmp_path, never)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sound.samples_CT.shape == (2, 120 * 44_100)
    assert peak < 8e6, "42 MB of samples"


def test_whoever_stops_is_heard(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    write_tone(tmp_path / "tone.wav", 0.1)
    with pytest.raises(KeyboardInterrupt):
        read_sound(tmp_path / "tone.wav", tmp_path, stop)


def test_full_disk_is_seen_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_file, "FREE_BYTES", 2**62)
    write_tone(tmp_path / "tone.wav", 0.1)
    with pytest.raises(InputError, match=r"temp folder: .* GB are left .* Free some space"):
        read_sound(tmp_path / "tone.wav", tmp_path, never)


def test_bomb_of_silence_ends_in_an_error_in_seconds_and_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FLAC of silence is a thousand times smaller than its samples, and its header may hide its length."""
    monkeypatch.setattr(tensor_file, "SPILL_BYTES", 10**6)
    monkeypatch.setattr(sound_file, "MAX_HOURS", 0.05)
    path = tmp_path / "bomb.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=96_000, layout="mono")
        for _ in range(400):
            frame = AudioFrame.from_ndarray(np.zeros((1, 96_000), np.int16), format="s16", layout="mono")
            frame.sample_rate = 96_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    assert len(content) < 200_000
    with pytest.raises(InputError, match=r"audio: bomb.flac is longer than 0.05 hours; cut it"):
        read_sound(path, tmp_path, never)
    # STREAMINFO's 36 bits of "total samples" set to 0, which means unknown.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    tracemalloc.start()
    started_s = time.monotonic()
    with pytest.raises(InputError, match=r"audio: bomb.flac is longer than 0.05 hours; cut it"):
        read_sound(path, tmp_path, never)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6
    assert time.monotonic() - started_s < 30
    assert list(tmp_path.iterdir()) == [path]


def wav_of(rate_hz: int, channels: int, bits: int, claimed_bytes: int, data: bytes) -> bytes:
    """A WAV whose header says what it likes."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame % 2**32, frame % 2**16, bits)
    return (
        b"RIFF" + struct.pack("<I", (36 + claimed_bytes) % 2**32) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", claimed_bytes) + data
    )  # fmt: skip


HOSTILE = {
    "noise": bytes(range(256)) * 40,
    "empty": b"",
    "text": b"#EXTM3U\nfile:///etc/passwd\n",
    "no samples": wav_of(16_000, 1, 16, 0, b""),
    "no rate": wav_of(0, 1, 16, 100, bytes(100)),
    "no channels": wav_of(16_000, 0, 16, 100, bytes(100)),
    "many channels": wav_of(16_000, 60_000, 16, 100, bytes(100)),
    "claims 4 GB": wav_of(16_000, 1, 16, 2**32 - 100, b""),
    "mad rate": wav_of(2**31 - 1, 1, 16, 100, bytes(100)),
    "half a header": wav_of(16_000, 1, 16, 100, b"")[:30],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_is_refused_or_is_a_small_sound(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hostile.wav"
    path.write_bytes(HOSTILE[kind])
    try:
        sound = read_sound(path, tmp_path, never)
    except InputError as error:
        assert str(error).startswith("audio: hostile.wav ")  # noqa: PT017
    else:
        assert sound.samples_CT.numel() <= 10_000
        assert sound.sample_rate_hz > 0


def test_damaged_sound_is_refused_or_what_could_be_read(tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.flac", 1.0)
    content = bytearray((tmp_path / "tone.flac").read_bytes())
    draw = np.random.default_rng(0)
    for _ in range(60):
        damaged = content.copy()
        for place in draw.integers(0, len(content), 20):
            damaged[place] = draw.integers(256)
        (tmp_path / "damaged.flac").write_bytes(damaged)
        try:
            sound = read_sound(tmp_path / "damaged.flac", tmp_path, never)
        except InputError:
            continue
        assert sound.samples_CT.shape[1] < 10 * 44_100


def test_video_without_sound_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"audio: mute.mp4 has no sound; choose a file with a sound track"):
        read_sound(tmp_path / "mute.mp4", tmp_path, never)


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not have")
def test_name_is_no_address(tmp_path: Path) -> None:
    """FFmpeg opens addresses and lists of files too; what is handed to it is always a whole path."""
    for name in ("concat:a|b", "http://localhost/x.wav"):
        with pytest.raises(InputError, match="cannot be read as a sound"):
            read_sound(tmp_path / name, tmp_path, never)


def test_name_in_a_sound_that_is_not_utf_8_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    (tmp_path / "latin.wav").write_bytes(wav().replace(b"name", b"n\xe4me"))
    assert read_sound(tmp_path / "latin.wav", tmp_path, never).samples_CT.shape == (1, 3_000)


def test_damaged_sound_is_told_without_the_words_of_a_program(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(InputError) as refused:
        read_sound(tmp_path / "a.wav", tmp_path, never)
    assert "(Invalid data found when processing input)" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
