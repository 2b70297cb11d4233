"""A trim that a node put on a VIDEO, which later hosts note beside its file and earlier ones do not know."""

from typing import Any


def trim_of(video: Any) -> tuple[float, float]:
    """Where a VIDEO was trimmed to begin, and how long it was trimmed to, in seconds; 0 for what was not."""
    window = getattr(video, "get_active_trim_window", None)
    return (0.0, 0.0) if window is None else window()
