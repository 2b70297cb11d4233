"""The tiny models, made once; a MODEL is loaded anew for each test, since the tests change it."""

from typing import TYPE_CHECKING, Any

import pytest
from tiny_host import TinyFiles, load_model, load_vae

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


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
