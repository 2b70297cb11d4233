from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media import sound_file
from evertalk_pack.multitalk.media.frame_reader import FrameReader
from evertalk_pack.multitalk.media.video_reader import read_sound
from source_clips import SAMPLE_RATE_HZ, add_tone, at_fps, grey, write_clip, write_growing_clip, write_tone


def test_facts_say_length_rate_size_and_sound(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(50), 100), sound_s=1.0))
    assert (source.name, source.width_px, source.height_px, source.has_sound) == ("a.mp4", 64, 64, True)
    assert source.duration_s == pytest.approx(2.0, abs=0.03)
    assert source.fps == pytest.approx(50, abs=0.6)


def test_length_is_that_of_the_pictures_where_the_sound_is_longer(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 25), sound_s=3.0))
    assert source.duration_s == pytest.approx(1.0, abs=0.05)


def test_sound_is_the_clips_own_at_its_rate(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 25), sound_s=1.0))
    sound = source.sound()
    assert (sound.sample_rate_hz, sound.samples_CT.shape[0]) == (SAMPLE_RATE_HZ, 1)
    assert sound.duration_s == pytest.approx(1.0, abs=0.13)
    assert float(sound.samples_CT[:, 2000:14000].std()) == pytest.approx(0.5 / 2**0.5, rel=0.05)


@pytest.mark.parametrize("sound_s", [0.8, 1.0, 0.05])
def test_sound_of_a_clip_is_as_long_as_what_was_written(tmp_path: Path, sound_s: float) -> None:
    clip = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 25), sound_s=sound_s)
    samples = round(sound_s * SAMPLE_RATE_HZ)
    assert open_source(clip).sound().samples_CT.shape == (1, samples)
    sound = read_sound(clip)
    assert sound is not None
    assert sound.samples_CT.shape == (1, samples), "also where a saved video's own sound is read"


def test_sound_from_a_later_start_is_shorter_by_it(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 25), sound_s=1.0))
    whole, rest = source.sound(), source.sound(start_s=0.25)
    torch.testing.assert_close(rest.samples_CT, whole.samples_CT[:, SAMPLE_RATE_HZ // 4 :])


def test_sound_of_a_file_in_memory(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 25), sound_s=1.0)
    source = open_source(BytesIO(clip.read_bytes()))
    torch.testing.assert_close(source.sound().samples_CT, open_source(clip).sound().samples_CT)


def test_clip_without_sound_says_where_speech_can_come_from(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 5)))
    with pytest.raises(InputError, match=r"audio: a\.mp4 has no sound track\. .*Load Audio"):
        source.sound()


def test_start_behind_the_sound_is_refused(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 25), sound_s=1.0))
    with pytest.raises(InputError, match=r"lasts 1\.\d+ s, and start_s is 7"):
        source.sound(start_s=7)


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(InputError, match=r"source_video: a\.mp4 cannot be read as a video"):
        open_source(tmp_path / "a.mp4")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"source_video: gone\.mp4 cannot be read"):
        open_source(tmp_path / "gone.mp4")


def test_file_without_pictures_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as container:
        write_tone(container, add_tone(container), 1.0)
    with pytest.raises(InputError, match=r"source_video: a\.m4a has no video stream"):
        open_source(tmp_path / "a.m4a")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_file_closed_before_its_first_frame_is_refused(tmp_path: Path, suffix: str) -> None:
    clip = write_clip(tmp_path / f"a.{suffix}", [])
    with pytest.raises(InputError, match=r"source_video: a\.\w+ (cannot be read|has no video stream)"):
        open_source(clip)


def test_pictures_that_would_fill_the_memory_are_refused_by_the_header(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 3))
    with pytest.raises(InputError, match=r"a\.mp4 has pictures of 64x64, expected .* at most. Scale"):
        open_source(clip, max_pixels=4000)


def test_real_bomb_of_a_picture_is_refused_in_no_memory(tmp_path: Path) -> None:
    """16,384 x 8,192 pixels of one colour, 1.6 GB as floats, in some kilobytes."""
    clip = write_clip(tmp_path / "bomb.mp4", [(0.0, grey(90))])
    data = bytearray(clip.read_bytes())
    place = data.index(b"avc1", data.index(b"stsd")) + 28
    assert data[place : place + 4] == bytes([0, 64, 0, 64])
    data[place : place + 4] = (16_384).to_bytes(2, "big") + (8_192).to_bytes(2, "big")
    # Without the stream's own parameters FFmpeg believes the container.
    avcc = data.index(b"avcC")
    data[avcc : avcc + 4] = b"free"
    clip.write_bytes(data)
    with pytest.raises(InputError, match=r"source_video: bomb\.mp4 "):
        open_source(clip)


def test_frames_that_grow_behind_the_header_are_never_decoded(tmp_path: Path) -> None:
    grown = write_growing_clip(tmp_path / "grown.h264", (64, 256))
    widths = {frame.width for _, frame in open_source(grown).reader().frames_from_start()}
    assert widths == {64, 256}
    reader = FrameReader(str(grown), max_pixels=10_000)
    widths = {frame.width for _, frame in reader.frames_from_start()}
    assert widths == {64}


def test_video_without_one_frame_that_can_be_decoded_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 3))
    data = bytearray(clip.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    clip.write_bytes(data)
    with pytest.raises(InputError, match=r"source_video: a\.mp4 has zero length: not a single frame"):
        open_source(clip)


def write_late_sound(path: Path, begin_s: float) -> Path:
    """Pictures of a second, and a tone of a tenth that says it begins later."""
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", rate=25)
        film.width, film.height, film.pix_fmt = 64, 64, "yuv420p"
        tone = add_tone(container)
        for number in range(25):
            container.mux(film.encode(av.VideoFrame.from_ndarray(grey(90 + number), "rgb24")))
        container.mux(film.encode())
        samples = np.full((1, SAMPLE_RATE_HZ // 10), 0.3, np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = round(begin_s * SAMPLE_RATE_HZ)
        container.mux(tone.encode(frame))
        container.mux(tone.encode())
    return path


def test_silence_before_a_sound_that_begins_late_is_made_up_to_a_limit(tmp_path: Path) -> None:
    sound = open_source(write_late_sound(tmp_path / "late.mkv", 500.0)).sound(folder=tmp_path)
    assert sound.duration_s == pytest.approx(500.1, abs=0.1)
    assert float(sound.samples_CT[:, : 499 * SAMPLE_RATE_HZ].abs().max()) == 0.0
    clip = open_source(write_late_sound(tmp_path / "never.mkv", 5_000.0))
    with pytest.raises(
        InputError, match=r"never.mkv begins 5000 s after its pictures, expected 600 s at most"
    ):
        clip.sound(folder=tmp_path)


def test_sound_of_a_clip_has_the_hours_of_any_sound_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = open_source(write_clip(tmp_path / "clip.mp4", at_fps(Fraction(25), 50), sound_s=2.0))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clip.sound(check=stop)
    monkeypatch.setattr(sound_file, "MAX_HOURS", 0.0001)
    with pytest.raises(InputError, match=r"audio: clip.mp4 is longer than 0.0001 hours; cut it"):
        clip.sound()


def test_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = open_source(write_clip(tmp_path / "clip.mp4", at_fps(Fraction(25), 50), sound_s=2.0))
    monkeypatch.setattr(sound_file, "FREE_BYTES", 2**62)
    with pytest.raises(InputError, match=r"^temp folder: .* GB are left on the disk"):
        clip.sound(folder=tmp_path)
