"""Puts what these tests share, and the training's modules, on the path; the trained miniatures."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "demo"
sys.path += [str(HERE), str(DEMO / "train")]

if TYPE_CHECKING:
    from talking import Troupe


@pytest.fixture(scope="module")
def troupe(tmp_path_factory: pytest.TempPathFactory) -> "Troupe":
    """The trained miniatures, loaded for one file of tests."""
    from talking import load_troupe

    models = tmp_path_factory.mktemp("trained")
    subprocess.run([sys.executable, str(DEMO / "make_tiny.py"), "--models", str(models)], check=True)
    return load_troupe(models)
