"""What is read out of a server's record of a finished workflow."""

from typing import Any

from evertalk_batch.outputs import Told, told_of, video_of

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


def test_run_tells_of_itself() -> None:
    told = told_of({"3": {"text": ["x"]}, "8": {"evertalk": [ENTRY]}})
    assert told == Told(8, 8, "sdpa", 5, 7, ("sage is not installed: sdpa ran.",))


def test_run_that_was_finished_already_has_no_backend() -> None:
    told = told_of({"8": {"evertalk": [ENTRY | {"attention": {"asked": "auto", "ran": ""}}]}})
    assert told is not None
    assert told.backend is None


def test_workflow_without_evertalk_tells_nothing() -> None:
    assert told_of({"9": {"images": []}}) is None
