"""What a run will need, by formulas that are checked by hand."""

from dataclasses import replace

import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.runs.preflight import (
    Machine,
    Past,
    RunShape,
    activation_bytes,
    check_disk,
    describe_estimate,
    disk_bytes,
    duration_text,
    estimate_run,
    frame_memory_bytes,
    median_bytes_per_frame,
    offload_warnings,
    size_text,
)
from evertalk_pack.multitalk.windows.settings import FrameSize

MINUTE = RunShape(21, 1500, 81, 9, FrameSize(480, 832), 21)
CARRY_BYTES = 9 * 480 * 832 * 3 * 4
H100 = Machine("NVIDIA H100", 80_000_000_000, "/out", 50_000_000_000)


def test_activations_are_those_of_a_block_over_all_tokens() -> None:
    assert activation_bytes(MINUTE) == 21 * 30 * 52 * (6 * 5120 + 2 * 13_824) * 2


def test_ram_is_two_windows_of_frames_and_the_encoder() -> None:
    assert frame_memory_bytes(MINUTE) == 2 * 81 * 480 * 832 * 12 + 60 * 480 * 832 * 3 // 2
    longer = replace(MINUTE, windows=1250, frames=90_000, windows_left=1250)
    assert frame_memory_bytes(longer) == frame_memory_bytes(MINUTE), "an hour takes what a minute takes"


def test_disk_holds_the_segments_the_video_and_the_motion_frames() -> None:
    video = 1500 * 20_000
    expected = 2 * video + 60 * 64_000 + 512 * 1024 * 1024 + 2 * CARRY_BYTES
    assert disk_bytes(MINUTE, 20_000) == expected
    short = replace(MINUTE, windows=2, frames=153, windows_left=2)
    assert disk_bytes(short, 0) == round(153 / 25 * 64_000) + 2 * CARRY_BYTES


def test_finished_windows_are_on_the_disk_already() -> None:
    half = replace(MINUTE, windows=20, windows_left=10)
    whole = replace(MINUTE, windows=20, windows_left=20)
    assert disk_bytes(whole, 20_000) - disk_bytes(half, 20_000) == 750 * 20_000
    assert disk_bytes(replace(MINUTE, windows_left=0), 20_000) == 0


def test_windows_that_somebody_looks_at_keep_their_motion_frames() -> None:
    reviewed = replace(MINUTE, review=5)
    assert disk_bytes(reviewed, 0) - disk_bytes(MINUTE, 0) == 4 * CARRY_BYTES


def test_time_and_disk_come_from_history_where_there_is_one() -> None:
    none = estimate_run(MINUTE, 0, Past(), 20_000)
    assert none.seconds is None
    assert none.disk_bytes == disk_bytes(MINUTE, 20_000)
    known = estimate_run(MINUTE, 0, Past((10.0, 11.0, 100.0), 8_000), 20_000)
    assert known.seconds == 21 * 11.0
    assert known.disk_bytes == disk_bytes(MINUTE, 10_000)
    assert median_bytes_per_frame([(100, 10), (0, 0), (400, 20), (900, 10)]) == 20
    assert median_bytes_per_frame([]) is None


def test_disk_that_cannot_hold_the_run_is_refused_with_folder_numbers_and_remedy() -> None:
    estimate = estimate_run(MINUTE, 0, Past(), 20_000)
    check_disk(estimate, replace(H100, free_bytes=estimate.disk_bytes))
    message = (
        r"^filename_prefix: the disk of /out has 5\.0 MB free, but this run of 21 windows needs about "
        r"0\.7 GB there\. Make room, shorten the sound"
    )
    with pytest.raises(InputError, match=message):
        check_disk(estimate, replace(H100, free_bytes=5_000_000))


def test_line_tells_all_of_it() -> None:
    estimate = estimate_run(MINUTE, 37_000_000_000, Past((12.0, 12.0)), 20_000)
    assert describe_estimate(estimate, H100) == (
        "preflight: 21 windows, about 4 min 12 s by 2 earlier windows, VRAM 40.8 GB of 80.0 GB, RAM 0.8 GB "
        "beside weights, disk 0.7 GB of 50.0 GB free"
    )
    without = estimate_run(replace(MINUTE, windows_left=4), 0, Past(), 20_000)
    line = describe_estimate(without, Machine("", 0, "/out", 50_000_000_000))
    assert line.startswith("preflight: 21 windows (4 left to make), time unknown: no history yet, RAM")
    done = estimate_run(replace(MINUTE, windows_left=0), 0, Past(), 20_000)
    assert "nothing is left to make" in describe_estimate(done, H100)


def test_weights_that_do_not_fit_are_warned_of() -> None:
    fits = estimate_run(MINUTE, 37_000_000_000, Past(), 20_000)
    assert offload_warnings(fits, H100) == ()
    (warning,) = offload_warnings(fits, replace(H100, device="NVIDIA RTX 4090", vram_bytes=24_000_000_000))
    assert "about 16.8 GB more than NVIDIA RTX 4090 holds, so ComfyUI will move weights" in warning
    assert offload_warnings(fits, replace(H100, device="", vram_bytes=0)) == (), "a CPU has no VRAM to exceed"


def test_sizes_and_durations_read_well() -> None:
    assert [size_text(size) for size in (1_500_000, 2_340_000_000)] == ["1.5 MB", "2.3 GB"]
    assert [duration_text(seconds) for seconds in (42.4, 86, 3_720)] == ["42 s", "1 min 26 s", "1 h 2 min"]
