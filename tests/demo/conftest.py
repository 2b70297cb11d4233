"""Puts what these tests share, and the training's modules, on the path; the trained miniatures."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "demo"
sys.path += [str(HERE), str(DEMO / "train")]

if TYPE_CHECKING:
    from talking import Film, Troupe


@pytest.fixture(scope="session")
def troupe(tmp_path_factory: pytest.TempPathFactory) -> "Troupe":
    """The trained miniatures."""
    from make_tiny import TRAINED, make_all
    from talking import load_troupe

    models = tmp_path_factory.mktemp("trained")
    make_all(models, TRAINED)
    return load_troupe(models)


@pytest.fixture(scope="session")
def alone(troupe: "Troupe") -> "Film":
    """A stranger who speaks for two windows."""
    from talking import TWO_WINDOWS_S, load_voice, make_film, portrait

    return make_film(troupe, portrait(77, 1), [load_voice("one", TWO_WINDOWS_S)])
