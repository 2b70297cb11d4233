"""The options of `run`, kept in the batch's folder so that `status` and `retry` know them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .batch_store import BatchStore
from .errors import StoreError
from .json_file import JsonObject, read_json, write_json


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch is run; paths are absolute.

    Attributes:
        jobs, workflow, store: files, and the batch's folder.
        comfyui: ComfyUI's folder, on every node.
        python: its Python; "" looks for it.
        base: folder with models and custom_nodes; "" for ComfyUI's own.
        server_arguments: more options for each server.
        address: of Ray; None starts it here.
        workers: how many; 0 for as many as the resources allow.
        cpus: CPUs a worker; 0 for a GPU each.
        min_free_mb: of disk, below which the batch pauses.
        max_losses: workers that a job may take down.
        silence_s: after which a server counts as lost.
        split_s: length of the parts that long jobs are cut to; 0 for none.
    """

    jobs: str
    workflow: str
    store: str
    comfyui: str
    python: str = ""
    base: str = ""
    server_arguments: tuple[str, ...] = ()
    address: str | None = None
    workers: int = 0
    cpus: float = 0.0
    min_free_mb: float = 2000.0
    max_losses: int = 5
    silence_s: float = 1800.0
    split_s: float = 0.0

    @property
    def min_free_bytes(self) -> int:
        return round(self.min_free_mb * 1e6)


def write_options(store: BatchStore, options: Options, total: int) -> None:
    """Keep the options of a batch with so many jobs."""
    try:
        write_json(store.about, {"version": 1, "total": total, "options": asdict(options)})
    except OSError as error:
        raise StoreError(f"--store {store.root} cannot be written: {error}.") from error


def read_options(store: BatchStore) -> tuple[Options, int]:
    """The options and the number of jobs that a batch was started with.

    Raises:
        StoreError: no batch was started there, or by a later version.
    """
    store.check_there()
    content = read_json(store.about)
    try:
        assert content is not None
        kept: JsonObject = content["options"]
        kept["server_arguments"] = tuple(kept["server_arguments"])
        return Options(**kept), int(content["total"])
    except (AssertionError, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise StoreError(
            f"{store.about} is damaged or of another version; start the batch with `run`."
        ) from error


def absolute(path: Path) -> str:
    """A path that is the same in every process."""
    return str(path.expanduser().absolute())
