from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_check import MediaError, Sound, Video, check_video, measure_sound, measure_video

SPEECH = Sound(num_samples=16_000, sample_rate_hz=16_000)


def write_video(file: Path, num_frames: int, num_samples: int) -> None:
    with av.open(file, "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 32, 16, "yuv420p"
        sounds = container.add_stream("aac", rate=16_000, layout="mono")
        for _ in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 32, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, num_samples), np.float32), format="fltp", layout="mono"
        )
        sound.sample_rate, sound.pts, sound.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(sounds.encode(sound))
        container.mux(pictures.encode(None))
        container.mux(sounds.encode(None))


def test_frames_size_and_sound_of_a_video_are_measured(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", num_frames=25, num_samples=16_000)
    video = measure_video(tmp_path / "a.mp4")
    assert (video.num_frames, video.width_px, video.height_px) == (25, 32, 16)
    assert video.sound.sample_rate_hz == 16_000
    assert abs(video.sound.num_samples - 16_000) < 1024
    check_video(video, SPEECH)


def test_missing_frame_is_noticed() -> None:
    with pytest.raises(MediaError, match=r"24 frames, but 1\.000 s of speech make 25"):
        check_video(Video(24, 32, 16, SPEECH), SPEECH)


def test_sound_that_is_more_than_an_aac_frame_too_short_is_noticed() -> None:
    check_video(Video(25, 32, 16, Sound(16_000 - 1024, 16_000)), SPEECH)
    with pytest.raises(MediaError, match=r"sound lasts 0\.936 s, the speech 1\.000 s"):
        check_video(Video(25, 32, 16, Sound(16_000 - 1025, 16_000)), SPEECH)


def test_file_that_is_no_medium_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video at all")
    with pytest.raises(MediaError, match=r"a\.mp4 cannot be read"):
        measure_video(tmp_path / "a.mp4")


def test_picture_is_no_sound(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match=r"a\.png holds no sound"):
        measure_sound(tmp_path / "a.png")


def test_sound_is_no_video() -> None:
    speech = Path(__file__).parents[2] / "demo" / "media" / "speech.flac"
    with pytest.raises(MediaError, match=r"speech\.flac holds no video"):
        measure_video(speech)


def test_demo_speech_makes_three_windows() -> None:
    speech = measure_sound(Path(__file__).parents[2] / "demo" / "media" / "speech.flac")
    assert speech.duration_s >= 8
    assert 81 + 72 < round(25 * speech.duration_s) <= 81 + 2 * 72
