"""The tiny models, made once; a MODEL is loaded anew for each test, since the tests change it."""

import importlib
import importlib.util
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from tiny_host import TinyFiles, load_model, load_vae

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

Lazily = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def without_gradients() -> Generator[None]:
    """As the host runs its nodes; else what is kept of a run keeps all that its VAE computed: gigabytes."""
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    """Files of the tiny models."""
    return TinyFiles.made_in(tmp_path_factory.mktemp("tiny_models"))


@pytest.fixture
def talking(tiny: TinyFiles) -> "ModelPatcher":
    """The tiny model with InfiniteTalk's windows."""
    return load_model(tiny)


@pytest.fixture(scope="session")
def vae(tiny: TinyFiles) -> Any:
    """The tiny VAE."""
    return load_vae(tiny)


@pytest.fixture
def lazily(monkeypatch: pytest.MonkeyPatch) -> Lazily:
    """In `with lazily():` the host's layers have no weights until a file is loaded into them.

    So they are with dynamic VRAM, which is on by default on NVIDIA GPUs and never on a CPU. Skips where the
    host has none.
    """
    import comfy.utils

    memory: Any = importlib.import_module("comfy.memory_management") if has_lazy_layers() else None
    if memory is None:
        pytest.skip("this ComfyUI has no dynamic VRAM: its layers have their weights from the beginning")

    @contextmanager
    def turned_on() -> Generator[None]:
        with monkeypatch.context() as patch:
            # The reader that belongs to such layers needs the GPU's library; what it gives is the same.
            patch.setattr(comfy.utils, "load_safetensors", read_plainly)
            patch.setattr(memory, "aimdo_enabled", True)
            yield

    return turned_on


def has_lazy_layers() -> bool:
    """Whether the host's layers can be without weights."""
    if importlib.util.find_spec("comfy.memory_management") is None:
        return False
    return hasattr(importlib.import_module("comfy.memory_management"), "aimdo_enabled")


def read_plainly(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """A .safetensors file's weights and metadata."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
