"""What `day.py` does inside a server: gives a run windows that were never sampled.

Copied by `day.py` among the custom nodes of the server that it starts. Where the file that FILL names in the
environment holds a number, the next run that is opened gets so many finished windows: each a link to one
that was made, under the key that the run knows it by. To the store they are windows like all others: it reads
them back when it opens the run, and joins them. With UNJOINED set, a run that is stopped joins nothing.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

NODE_CLASS_MAPPINGS: dict[str, type] = {}
FILL, UNJOINED = "EVERTALK_BENCH_FILL", "EVERTALK_BENCH_UNJOINED"
PACK = "/custom_nodes/EverTalk/"
STORE = "multitalk/runs/store.py"
LAST = "RunStore"
"""Once the store has it, all else is imported there."""

POLL_S = 0.1
PATTERN = 1
"""The window that the others are links to: like all but the first and the last."""


def store_module() -> ModuleType | None:
    """The pack's store, once it has been imported."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if PACK in path and path.endswith(STORE):
            return module
    return None


def link_over(made: Path, name: Path) -> None:
    """Give a file one more name."""
    name.unlink(missing_ok=True)
    os.link(made, name)


def fill(folder: Path, card: Any, runs: Callable[[str], ModuleType], count: int) -> None:
    """Finish a run's windows up to `count`, of which some have been made."""
    manifest, records = runs("manifest"), runs("window_records")
    stored = records.read_run(folder)
    have = len(stored.windows)
    pattern, last = stored.windows[PATTERN], stored.windows[-1]
    windows = [*stored.windows]
    suffix = Path(pattern.segment.name).suffix
    for index in range(have, count):
        name = manifest.segment_name(index, suffix)
        link_over(folder / pattern.segment.name, folder / name)
        segment = replace(pattern.segment, name=name)
        windows.append(
            replace(pattern, index=index, key=card.keys[index], segment=segment, carry=None, carries=True)
        )
    carry = manifest.carry_name(count - 1)
    link_over(folder / last.carry.name, folder / carry)
    windows[-1] = replace(windows[-1], carry=replace(last.carry, name=carry))
    records.store_manifest(folder, replace(stored, windows=tuple(windows)))


def unjoined(_store: object) -> None:
    """In place of joining what a run that is stopped has made."""


def hook(wanted: Path) -> None:
    """Fill runs as they are opened, as soon as the pack is there."""
    store = None
    while store is None or LAST not in vars(store):
        time.sleep(POLL_S)
        store = store_module()
    package = store.__name__.rpartition(".")[0]
    opened: Callable[..., Any] = vars(store)["open_run"]

    @wraps(opened)
    def filled(folder: Path, place: Any, card: Any, *rest: Any) -> Any:
        if wanted.is_file():
            count = int(wanted.read_text())
            wanted.unlink()
            fill(folder, card, lambda name: sys.modules[f"{package}.{name}"], count)
        return opened(folder, place, card, *rest)

    vars(store)["open_run"] = filled
    if os.environ.get(UNJOINED):
        vars(store)[LAST]._rescue = unjoined


if os.environ.get(FILL):
    threading.Thread(target=hook, args=(Path(os.environ[FILL]),), daemon=True, name="bench-fill").start()
