"""A Python that has imported the libraries of ComfyUI once, and forks for each script that is to run.

`warm_start.py` starts it and speaks to it. A request is a line of JSON on its input: the script and its
arguments (`command`), where it runs (`folder`), its variables (`environment`) and the file for what it prints
(`log`). The answer is the process' id on its output. It ends with its input.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch._dynamo",
    "torchvision",
    "torchaudio",
    "torchsde",
    "transformers",
    "transformers.models.clip",
    "scipy.integrate",
    "scipy.stats",
    "kornia.filters",
    "spandrel",
    "safetensors.torch",
    "sqlalchemy.orm",
    "alembic.command",
    "alembic.runtime.environment",
    "aiohttp.web",
    "pydantic",
    "psutil",
    "yaml",
    "av",
    "einops",
    "PIL.Image",
    "gguf",
    "pyloudnorm",
)
"""What a server imports in its first seconds, but for ComfyUI and the pack. What a host lacks is left out."""

READY = "ready"
INHERITED = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGCHLD)}
"""As whoever started this has it: each fork has the same."""


def import_libraries() -> None:
    """Import them, once for all forks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            with suppress(ImportError):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the first collection in a fork writes to, and so copies, all their pages


def fork_for_each() -> dict[str, Any]:
    """Answer requests with forks until the input ends. It returns in the forks alone: what each is to be."""
    for line in sys.stdin:
        process = os.fork()
        if not process:
            return json.loads(line)
        print(process, flush=True)
    sys.exit()


def become(command: list[str], folder: str, environment: dict[str, str], log: str) -> None:
    """Be the script, as if Python had been started with it."""
    for name, handler in INHERITED.items():
        signal.signal(name, handler)
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (printed, 1), (printed, 2)):
        os.dup2(source, target)
    os.close(printed)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[:] = command
    sys.path.insert(0, str(Path(command[0]).parent))
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    del sys.path[0]  # this folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so a fork that has ended is gone
    import_libraries()
    print(READY, flush=True)
    become(**fork_for_each())
