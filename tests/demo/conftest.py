"""Puts what these tests share, and the training's modules, on the path."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parents[1] / "demo" / "train")]
