"""Where a run's files go in the host's output folder."""

from datetime import datetime
from pathlib import Path

import folder_paths

from ....multitalk.common.name_tokens import TokenValues, WidgetValue, expanded, lasting, spaces_note
from ....multitalk.common.safe_path import checked_prefix
from ....multitalk.runs.folder import RunPlace, store_error
from ....multitalk.windows.settings import MAX_SIZE_PX


def stand_in(_node: str, _widget: str) -> str:
    """In place of a widget's value, where the workflow is not known."""
    return "value"


def check_prefix(prefix: str, widget: WidgetValue = stand_in) -> tuple[str, ...]:
    """Refuse a prefix that is not a file name within the host's output folder; what was changed on the way.

    Raises:
        InputError: it is empty, has a token that stands for nothing, or leads out of the output folder.
        RunStoreError: the output folder does not answer.
    """
    run_place(prefix, MAX_SIZE_PX, MAX_SIZE_PX, widget)
    return spaces_note(prefix)


def run_place(prefix: str, width_px: int, height_px: int, widget: WidgetValue = stand_in) -> RunPlace:
    """Where a run's files go.

    The video's name may hold the time and values of nodes. The run's folder does not: the same run, queued
    tomorrow, has to be found again.

    Args:
        prefix: names and tokens.
        width_px: of the video.
        height_px: of the video.
        widget: the values of the workflow's widgets. Of the result, `final` alone depends on them.

    Raises:
        InputError: see check_prefix.
        RunStoreError: the output folder does not answer.
    """
    root = Path(folder_paths.get_output_directory())
    values = TokenValues(datetime.now().astimezone(), width_px, height_px, widget)
    try:
        final = checked_prefix(expanded(prefix, values), root)
        return RunPlace(root, checked_prefix(lasting(prefix, values), root), final)
    except OSError as error:
        raise store_error(root, error) from error
