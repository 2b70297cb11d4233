"""The script that a worker runs: makes the pack and ComfyUI importable as in the server, then works.

    python worker_main.py DESCRIPTOR

DESCRIPTOR is the worker's end of the channel. The first message says where ComfyUI and the pack lie: nothing
of the pack can be imported before that, and all of it is before the second one comes, which names the MODEL.
"""

import importlib
import importlib.machinery
import importlib.util
import json
import sys
from multiprocessing.connection import Connection
from typing import Any

PACK = "evertalk_pack"


def make_importable(host: dict[str, Any]) -> None:
    """Set paths and arguments as the server's, before anything of ComfyUI is imported."""
    sys.path[:] = host["paths"]
    sys.argv = host["arguments"]
    options: Any = importlib.import_module("comfy.options")
    options.enable_args_parsing()
    # As main.py does first: nodes of ComfyUI put folders on the path that have a utils of their own.
    importlib.import_module("utils.extra_config")
    # The pack's own __init__ registers nodes and needs a server.
    spec = importlib.machinery.ModuleSpec(PACK, None, is_package=True)
    spec.submodule_search_locations = [host["pack"]]
    sys.modules[PACK] = importlib.util.module_from_spec(spec)


def main() -> None:
    """Read the first message, import what the work needs, and work until the channel closes."""
    connection = Connection(int(sys.argv[1]))
    host: dict[str, Any] = json.loads(connection.recv_bytes())
    make_importable(host)
    worker: Any = importlib.import_module(f"{PACK}.nodes.host.parallel.worker")
    worker.work(connection, host["server"])


if __name__ == "__main__":
    main()
