"""Kernel packages that a test puts on the path as real files, or takes away."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


class Packages:
    """The optional packages of one test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        monkeypatch.syspath_prepend(str(folder))

    def install(self, module: str, source: str) -> None:
        """Write `source` as the package `module` (a dotted name makes its parents too)."""
        folder = self._folder
        parts = module.split(".")
        for depth, part in enumerate(parts, start=1):
            self._monkeypatch.delitem(sys.modules, ".".join(parts[:depth]), raising=False)
            folder /= part
            folder.mkdir(exist_ok=True)
            folder.joinpath("__init__.py").touch()
        folder.joinpath("__init__.py").write_text(source)
        importlib.invalidate_caches()

    def remove(self, *modules: str) -> None:
        """Make `modules` absent, even on a machine that has them."""
        for module in modules:
            self._monkeypatch.setitem(sys.modules, module, None)

    def forget(self) -> None:
        """Take what was imported from here out of memory."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self._folder)):
                del sys.modules[name]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    """A machine without any kernel package, until the test installs some."""
    machine = Packages(tmp_path, monkeypatch)
    machine.remove("flash_attn", "flash_attn_interface", "fa3_fwd_interface")
    machine.remove("sageattention", "sageattn3", "sageattn", "comfy_kitchen")
    yield machine
    machine.forget()
