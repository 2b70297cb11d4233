"""What is read out of a server's record of a finished workflow."""

from typing import Any

from evertalk_batch.json_file import JsonObject
from evertalk_batch.outputs import report_of, video_of
from evertalk_batch.task import Ending, Report
from evertalk_batch.usage import Peak

ENTRY: dict[str, Any] = {
    "path": "/o/clip/v.mp4",
    "windows": 8,
    "finished_windows": 8,
    "attention": {"asked": "auto", "ran": "sdpa"},
    "peak_vram_bytes": 5,
    "peak_ram_bytes": 7,
    "warnings": ["sage is not installed: sdpa ran."],
}


def test_video_is_found_among_what_nodes_reported() -> None:
    image = {"filename": "a.png", "subfolder": "", "type": "output"}
    preview = {"filename": "p.mp4", "subfolder": "", "type": "temp"}
    video = {"filename": "v.mp4", "subfolder": "clip", "type": "output"}
    assert (
        video_of({"1": {"images": [image]}, "2": {"images": [video], "animated": [True]}})
        == "output/clip/v.mp4"
    )
    assert video_of({"1": {"images": [image, preview]}, "2": {"text": ["x"]}}) is None


VIDEO: dict[str, Any] = {"images": [{"filename": "v.mp4", "subfolder": "clip", "type": "output"}]}


def stats() -> JsonObject:
    return {"devices": [{"type": "cuda", "vram_total": 10, "vram_free": 4}]}


def test_run_that_was_finished_already_has_no_backend() -> None:
    finished = ENTRY | {"attention": {"asked": "auto", "ran": ""}}
    report = report_of({"8": {"evertalk": [finished], **VIDEO}}, None, Peak(None, stats))
    assert (report.ending, report.backend) == (Ending.DONE, None)


def test_told_peaks_go_before_those_seen_from_outside() -> None:
    peak = Peak(None, stats)
    peak.look()
    video = "output/clip/v.mp4"
    warning = "sage is not installed: sdpa ran."
    assert report_of({"8": {"evertalk": [ENTRY], **VIDEO}}, 3, peak) == Report(
        Ending.DONE, 0.0, video, 8, None, "sdpa", 5, 7, (warning,)
    )
    assert report_of({"8": VIDEO}, 3, peak) == Report(Ending.DONE, 0.0, video, 3, peak_vram_bytes=6)


def test_run_that_paused_for_a_review_has_failed() -> None:
    outputs = {"8": {"evertalk": [ENTRY | {"finished_windows": 2}], **VIDEO}}
    report = report_of(outputs, 8, Peak(None, stats))
    assert report.ending is Ending.FAILED
    assert "paused behind 2 of 8 windows" in str(report.error)
    assert "pause_after at 0" in str(report.error)


def test_workflow_that_saves_no_video_has_failed() -> None:
    report = report_of({"8": {"evertalk": [ENTRY]}}, 8, Peak(None, stats))
    assert (report.ending, report.path) == (Ending.FAILED, None)
    assert "without a video" in str(report.error)
