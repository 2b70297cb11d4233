"""The chart of a finished film as a file beside its video."""

from dataclasses import dataclass
from pathlib import Path

import folder_paths

from ....multitalk.common.atomic_file import write_whole
from ....multitalk.windows.film_chart import figures_of, film_chart
from ..report.progress import show_on_node, warn_on_node

ENDING = "_chart.svg"
"""Of the file's name, behind that of the video."""


@dataclass(slots=True)
class ChartWrites:
    """Of this server.

    Attributes:
        failed: how many charts could not be written.
    """

    failed: int = 0


WRITES = ChartWrites()


def write_chart(windows: object, output_path: str) -> None:
    """Write the chart, or say why there is none; an older file of that name is replaced.

    Args:
        windows: what the sampler's result lists of them.
        output_path: the video or folder of pictures that it saved; empty if it saved none.
    """
    chart = film_chart(figures_of(windows))
    if not chart or not output_path:
        warn_on_node(
            "chart: no chart is written, because samples does not tell the figures of a film's windows. "
            "Connect EverTalk Sampler with output 'video'"
        )
        return
    video = Path(output_path)
    # A folder has no suffix: a dot in its name is of the name.
    name = video.name if video.is_dir() else video.stem
    path = video.with_name(f"{name}{ENDING}")
    # What samples holds may have been written by anybody: nothing is written elsewhere.
    if not path.resolve().is_relative_to(Path(folder_paths.get_output_directory()).resolve()):
        warn_on_node(f"chart: no chart is written: {path} is outside of ComfyUI's output folder")
        return
    try:
        write_whole(path, chart.encode())
    except OSError as error:
        WRITES.failed += 1
        warn_on_node(
            f"chart: {path} cannot be written ({error.strerror or error}); the video is whole. Correct that "
            "and queue the workflow again"
        )
        return
    show_on_node(f"chart: {path}")
