import gc
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media.frame_reader import FrameReader
from source_clips import at_fps, grey, level_of, turn_clockwise, write_clip

NTSC = Fraction(30000, 1001)


def test_frame_of_a_29_97_source_is_the_one_shown_at_the_time(tmp_path: Path) -> None:
    reader = FrameReader(str(write_clip(tmp_path / "a.mp4", at_fps(NTSC, 40))))
    shown = [level_of(reader.frame_at(k / 25)) for k in range(33)]
    assert shown == [int(Fraction(k, 25) * NTSC) for k in range(33)]


def test_frame_of_a_variable_rate_source_is_found_by_time_alone(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.5, 0.52, 1.7, 1.9, 4.0]
    pictures = [(time_s, grey(16 + 5 * k)) for k, time_s in enumerate(times_s)]
    reader = FrameReader(str(write_clip(tmp_path / "a.mp4", pictures)))
    asked = {0.0: 0, 0.03: 0, 0.04: 1, 0.49: 1, 0.5: 2, 0.51: 2, 1.69: 3, 1.7: 4, 3.9: 5, 4.0: 6}
    assert {time_s: level_of(reader.frame_at(time_s)) for time_s in asked} == asked


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts", "avi", "webm"])
def test_order_of_asking_changes_nothing(tmp_path: Path, suffix: str) -> None:
    codec = {"avi": "mpeg4", "webm": "libvpx"}.get(suffix, "libx264")
    tick = Fraction(1, 25) if suffix == "avi" else Fraction(1, 90000)
    clip = write_clip(tmp_path / f"a.{suffix}", at_fps(Fraction(25), 40), codec=codec, time_base=tick)
    reader = FrameReader(str(clip))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()
    assert [level_of(reader.frame_at(k / 25)) for k in order] == order


def test_time_far_ahead_is_sought(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 600, levels=30), gop=25)
    reader = FrameReader(str(clip))
    assert [level_of(reader.frame_at(k / 25)) for k in (3, 590, 20)] == [3, 590 % 30, 20]


def test_past_the_end_the_last_frame_stands(tmp_path: Path) -> None:
    reader = FrameReader(str(write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 30))))
    assert [level_of(reader.frame_at(time_s)) for time_s in (1.16, 1.2, 50.0, 5000.0, 0.2, 99.0)] == [
        29, 29, 29, 29, 5, 29
    ]  # fmt: skip


def test_before_a_first_frame_that_comes_late_the_first_stands(tmp_path: Path) -> None:
    pictures = [(0.5 + time_s, picture) for time_s, picture in at_fps(Fraction(25), 10)]
    reader = FrameReader(str(write_clip(tmp_path / "a.mp4", pictures, sound_s=1.0)))
    assert [level_of(reader.frame_at(time_s)) for time_s in (0.3, 0.0, 0.5, 0.58)] == [0, 0, 0, 2]


def test_file_in_memory_reads_as_the_file_on_disk(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 30))
    reader = open_source(BytesIO(clip.read_bytes())).reader()
    assert [level_of(reader.frame_at(k / 25)) for k in (20, 3, 4)] == [20, 3, 4]


def test_picture_turned_by_its_display_matrix_is_upright_wherever_it_is_read(tmp_path: Path) -> None:
    lying = np.zeros((32, 64, 3), np.uint8)
    lying[:, :32] = 255  # turned clockwise, the left half comes to the top
    clip = write_clip(tmp_path / "a.mp4", [(k / 25, lying) for k in range(40)])
    turn_clockwise(clip)
    source = open_source(clip)
    assert (source.height_px, source.width_px) == (64, 32)
    reader = source.reader()
    for time_s in (1.4, 0.0):
        frame_HWC = reader.frame_at(time_s)
        assert tuple(frame_HWC.shape) == (64, 32, 3)
        assert float(frame_HWC[:30].min()) > 0.9
        assert float(frame_HWC[34:].max()) < 0.1


def test_frames_from_the_start_carry_their_times(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.5, 0.52, 1.7]
    pictures = [(time_s, grey(16 + 5 * k)) for k, time_s in enumerate(times_s)]
    reader = FrameReader(str(write_clip(tmp_path / "a.mp4", pictures)))
    reader.frame_at(0.5)
    assert [round(time_s, 4) for time_s, _ in reader.frames_from_start()] == times_s


def test_time_rounded_to_milliseconds_by_the_container_still_counts_as_at_it(tmp_path: Path) -> None:
    pictures = [
        (time_s, picture) for (_, picture), time_s in zip(at_fps(NTSC, 3), (0.0, 0.0334, 0.0667), strict=True)
    ]
    reader = FrameReader(str(write_clip(tmp_path / "a.mkv", pictures)))  # the third is written as 67 ms
    assert level_of(reader.frame_at(0.0667)) == 2


def test_damaged_place_is_passed_over_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = write_clip(tmp_path / "a.mkv", at_fps(Fraction(25), 40), gop=1)
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    damaged = packets[20]
    assert damaged.pos is not None
    place = data.index(bytes(damaged), damaged.pos)
    data[place : place + damaged.size] = bytes(range(7)) * (damaged.size // 7) + bytes(damaged.size % 7)
    clip.write_bytes(data)
    reader = FrameReader(str(clip))
    assert [level_of(reader.frame_at(k / 25)) for k in (19, 20, 21, 39, 45)] == [19, 19, 21, 39, 39]
    assert "1 damaged packets were passed over" in caplog.text


def frames_held() -> int:
    """Decoded frames in this process, other tests' included."""
    return sum(type(one) is av.VideoFrame for one in gc.get_objects())


def test_frames_that_were_read_go_at_once(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", at_fps(Fraction(25), 30))
    gc.collect()
    gc.disable()
    try:
        before = frames_held()
        reader = FrameReader(str(clip))
        for number in range(30):
            reader.frame_at(number / 25)
        held = frames_held() - before
    finally:
        gc.enable()
    assert 0 < held <= 2, "the one that is shown, and the next"
