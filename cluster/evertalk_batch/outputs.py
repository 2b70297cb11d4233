"""What a finished workflow's record says: the video, and the summary that EverTalk puts beside it."""

from pathlib import Path

from .json_file import JsonObject
from .task import Ending, Report
from .usage import Peak

SUMMARY = "evertalk"
"""Under this key EverTalk's nodes report a run; see nodes/host/run/summary.py of the pack."""

VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov"}

PAUSED = (
    "the run paused behind {finished_windows} of {windows} windows: nobody reviews a batch, so leave the "
    "workflow's pause_after at 0"
)


def report_of(outputs: JsonObject, windows: int | None, peak: Peak) -> Report:
    """How a task ended whose workflow ran through: by what the run tells, else by what was seen of it.

    Args:
        outputs: what the output nodes reported, by node id.
        windows: of the run, as far as was seen.
        peak: measured from outside.
    """
    path = video_of(outputs)
    if path is None:
        return Report(Ending.FAILED, error="the workflow ended without a video among its output files")
    told: JsonObject | None = next(
        (entries[0] for node in outputs.values() if (entries := node.get(SUMMARY))), None
    )
    if told is None:  # without EverTalk, or of a release that told nothing
        return Report(
            Ending.DONE,
            path=path,
            windows=windows,
            peak_vram_bytes=peak.vram_bytes,
            peak_ram_bytes=peak.ram_bytes,
        )
    paused = int(told["finished_windows"]) < int(told["windows"])
    return Report(
        Ending.FAILED if paused else Ending.DONE,
        path=path,
        windows=int(told["windows"]),
        error=PAUSED.format_map(told) if paused else None,
        backend=told["attention"]["ran"] or None,
        peak_vram_bytes=int(told["peak_vram_bytes"]),
        peak_ram_bytes=int(told["peak_ram_bytes"]),
        warnings=tuple(str(one) for one in told["warnings"]),
    )


def video_of(outputs: JsonObject) -> str | None:
    """The video that an output node reported, below the batch's folder; the last one if there are several."""
    entries = [entry for node in outputs.values() for listed in node.values() for entry in _files(listed)]
    videos = [entry for entry in entries if Path(entry["filename"]).suffix in VIDEO_SUFFIXES]
    if not videos:
        return None
    return (Path("output") / videos[-1]["subfolder"] / videos[-1]["filename"]).as_posix()


def _files(listed: object) -> list[JsonObject]:
    entries = listed if isinstance(listed, list) else []
    return [
        one for one in entries if isinstance(one, dict) and one.get("type") == "output" and "filename" in one
    ]
