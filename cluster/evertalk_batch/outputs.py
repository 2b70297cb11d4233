"""What a finished workflow's record says: the video, and the summary that EverTalk puts beside it."""

from dataclasses import dataclass
from pathlib import Path

from .json_file import JsonObject

SUMMARY = "evertalk"
"""Under this key EverTalk's nodes report a run; see nodes/host/run_summary.py of the pack."""

VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov"}


@dataclass(frozen=True, slots=True)
class Told:
    """What a run tells of itself.

    Attributes:
        windows: of the run.
        finished_windows: those in the video; fewer than `windows` in a run that paused.
        backend: of the attention that ran; None if no window was made by this attempt.
        peak_vram_bytes: of PyTorch's tensors; 0 without a GPU.
        peak_ram_bytes: of the server's process.
        warnings: sentences.
    """

    windows: int
    finished_windows: int
    backend: str | None
    peak_vram_bytes: int
    peak_ram_bytes: int
    warnings: tuple[str, ...]


def told_of(outputs: JsonObject) -> Told | None:
    """What the run tells; None of a workflow without EverTalk, or of a release that told nothing."""
    entry: JsonObject | None = next(
        (entries[0] for node in outputs.values() if (entries := node.get(SUMMARY))), None
    )
    if entry is None:
        return None
    return Told(
        windows=int(entry["windows"]),
        finished_windows=int(entry["finished_windows"]),
        backend=entry["attention"]["ran"] or None,
        peak_vram_bytes=int(entry["peak_vram_bytes"]),
        peak_ram_bytes=int(entry["peak_ram_bytes"]),
        warnings=tuple(str(one) for one in entry["warnings"]),
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
