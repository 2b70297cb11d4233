import logging
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import Waveform
from evertalk_pack.multitalk.media.sound_track import sound_format
from evertalk_pack.multitalk.media.stream_codecs import BT709, VideoSettings
from evertalk_pack.multitalk.media.video_reader import probe_video, read_frames
from evertalk_pack.multitalk.media.video_writer import VideoWriter

AAC_FRAME = 1024
HEIGHT, WIDTH = 64, 96
QUICK = VideoSettings(preset="ultrafast")


def moving_frames(frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(frames, 1, 1, 3, generator=generator)
    return colours.expand(frames, HEIGHT, WIDTH, 3)


def low_passed_noise(rate_hz: int, channels: int, duration_s: float) -> Waveform:
    """Noise below a sixth of the rate, another in each channel: one sharp peak of cross-correlation."""
    generator = torch.Generator().manual_seed(rate_hz)
    noise_CT = torch.randn(channels, round(rate_hz * duration_s), generator=generator)
    smooth_CT = torch.nn.functional.avg_pool1d(noise_CT[None], 7, 1, 3)[0]
    return Waveform(smooth_CT / smooth_CT.abs().max() * 0.8, rate_hz)


def decoded_sound(path: Path) -> tuple[np.ndarray, int]:
    with av.open(str(path)) as container:
        rate_hz = container.streams.audio[0].rate
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1), rate_hz


def lag(expected_T: np.ndarray, heard_T: np.ndarray, reach: int) -> int:
    """By how many samples `heard` is late."""
    length = min(len(expected_T), len(heard_T)) - 2 * reach
    middle_T = expected_T[reach : reach + length]
    scores = [float(middle_T @ heard_T[reach + s : reach + s + length]) for s in range(-reach, reach + 1)]
    return int(np.argmax(scores)) - reach


def test_file_has_exactly_the_frames_written_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, None, QUICK) as writer:
        for frames in (81, 72, 1):
            writer.write(moving_frames(frames, seed=frames))
    facts = probe_video(path)
    assert (facts.frames, facts.width, facts.height, facts.fps) == (154, WIDTH, HEIGHT, Fraction(25))
    assert len(read_frames(path)) == 154
    assert [file.name for file in tmp_path.iterdir()] == ["talk.mp4"]


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (16000, 1), (44100, 2), (96000, 1), (48000, 6)])
def test_sound_has_its_length_and_starts_at_sample_0(tmp_path: Path, rate_hz: int, channels: int) -> None:
    sound = low_passed_noise(rate_hz, channels, 2.017)
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, sound, QUICK) as writer:
        writer.write(moving_frames(50))
    heard_CT, heard_rate_hz = decoded_sound(path)
    assert heard_rate_hz == rate_hz
    assert heard_CT.shape[0] == channels
    assert 0 <= heard_CT.shape[1] - sound.samples_CT.shape[1] < AAC_FRAME
    for expected_T, heard_T in zip(sound.samples_CT.numpy(), heard_CT, strict=True):
        assert abs(lag(expected_T, heard_T, reach=2 * AAC_FRAME)) <= rate_hz / 1000


def test_sound_of_a_rate_that_aac_lacks_is_resampled_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = low_passed_noise(22254, 1, 2.0)
    path = tmp_path / "talk.mp4"
    with caplog.at_level(logging.INFO, "evertalk"), VideoWriter(path, WIDTH, HEIGHT, sound, QUICK) as writer:
        writer.write(moving_frames(50))
    heard_CT, heard_rate_hz = decoded_sound(path)
    expected_T = np.interp(
        np.arange(96000) * 22254 / 48000, np.arange(sound.samples_CT.shape[1]), sound.samples_CT[0].numpy()
    )
    assert heard_rate_hz == 48000
    assert abs(heard_CT.shape[1] - 96000) <= AAC_FRAME
    assert abs(lag(expected_T, heard_CT[0], reach=2 * AAC_FRAME)) <= 48
    assert "22254 Hz" in caplog.text
    assert "48000 Hz" in caplog.text


def test_more_channels_than_can_be_read_back_are_mixed_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = low_passed_noise(16000, 8, 1.0)
    path = tmp_path / "talk.mp4"
    with caplog.at_level(logging.INFO, "evertalk"), VideoWriter(path, WIDTH, HEIGHT, sound, QUICK) as writer:
        writer.write(moving_frames(25))
    assert decoded_sound(path)[0].shape[0] == 1
    assert "8 channels are mixed to mono" in caplog.text


def test_sound_format_keeps_what_aac_has() -> None:
    assert (sound_format(16000, 1).rate_hz, sound_format(16000, 1).layout) == (16000, "mono")
    assert (sound_format(44100, 2).layout, sound_format(192000, 2).rate_hz) == ("stereo", 48000)
    assert sound_format(8000, 1).bit_rate <= 6 * 8000  # the most that AAC allows a channel


def test_sound_is_interleaved_with_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, low_passed_noise(16000, 1, 12.0), QUICK) as writer:
        writer.write(moving_frames(300))
    with av.open(str(path)) as container:
        packets = [
            packet for packet in container.demux() if packet.pos is not None and packet.dts is not None
        ]
    in_file_order = sorted(packets, key=lambda packet: packet.pos or 0)
    seconds = [float((packet.dts or 0) * packet.time_base) for packet in in_file_order]
    assert max(before - after for before, after in pairwise(seconds)) < 1.5


def test_index_stands_before_the_data(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, None, QUICK) as writer:
        writer.write(moving_frames(10))
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_colours_come_back_and_are_tagged_bt709(tmp_path: Path) -> None:
    colours = torch.tensor(
        [[0.9, 0.1, 0.1], [0.1, 0.8, 0.2], [0.1, 0.2, 0.9], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    )
    frames_FHWC = colours[:, None, None, :].expand(5, HEIGHT, WIDTH, 3)
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, None, VideoSettings(crf=4)) as writer:
        writer.write(frames_FHWC)
    torch.testing.assert_close(read_frames(path), frames_FHWC, atol=3.5 / 255, rtol=0)
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_trc, codec.color_primaries) == (BT709, BT709, BT709)
        assert codec.color_range == 1  # limited
        assert codec.pix_fmt == "yuv420p"


def test_same_input_gives_the_same_bytes_however_it_is_cut(tmp_path: Path) -> None:
    sound, frames_FHWC = low_passed_noise(44100, 2, 2.4), moving_frames(60)
    for name, cuts in (("a.mp4", [60]), ("b.mp4", [60]), ("c.mp4", [7, 52, 1])):
        with VideoWriter(tmp_path / name, WIDTH, HEIGHT, sound) as writer:
            for part_FHWC in frames_FHWC.split(cuts):
                writer.write(part_FHWC)
    first = (tmp_path / "a.mp4").read_bytes()
    assert first == (tmp_path / "b.mp4").read_bytes()
    assert first == (tmp_path / "c.mp4").read_bytes()


def test_early_end_leaves_no_file(tmp_path: Path) -> None:
    sound = low_passed_noise(16000, 1, 10.0)

    def interrupted() -> None:
        with VideoWriter(tmp_path / "talk.mp4", WIDTH, HEIGHT, sound, QUICK) as writer:
            writer.write(moving_frames(30))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_no_file_stays_where_no_frame_was_written(tmp_path: Path) -> None:
    def fails_before_its_first_frame() -> None:
        with VideoWriter(tmp_path / "talk.mp4", WIDTH, HEIGHT, low_passed_noise(16000, 1, 1.0)):
            raise RuntimeError("no frame yet")

    with VideoWriter(tmp_path / "talk.mp4", WIDTH, HEIGHT, None):
        pass
    with pytest.raises(RuntimeError, match="no frame yet"):
        fails_before_its_first_frame()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    frames_FHWC = torch.rand(50, 128, 128, 3, generator=torch.Generator().manual_seed(0))
    process = psutil.Process()
    with VideoWriter(tmp_path / "long.mp4", 128, 128, low_passed_noise(16000, 1, 84.0), QUICK) as writer:
        for _ in range(4):
            writer.write(frames_FHWC)
        settled_bytes = process.memory_info().rss
        for _ in range(38):
            writer.write(frames_FHWC)
        grown_bytes = process.memory_info().rss - settled_bytes
    kept_as_bytes = 38 * 50 * 128 * 128 * 3
    assert probe_video(tmp_path / "long.mp4").frames == 2100
    assert grown_bytes < kept_as_bytes / 3


@pytest.mark.parametrize("size", [(97, 64), (96, 63), (0, 64)])
def test_odd_or_empty_size_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=rf"^size: .*{size[0]}x{size[1]}.*even"):
        VideoWriter(tmp_path / "talk.mp4", *size, None)
    assert list(tmp_path.iterdir()) == []


def test_silent_track_of_no_samples_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, Waveform(torch.zeros(1, 0), 16000), QUICK) as writer:
        writer.write(moving_frames(3))
    with av.open(str(path)) as container:
        assert not container.streams.audio
