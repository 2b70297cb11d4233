"""A golden case read from its folder: what went into the reference and what came out of it."""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from load_pack import ROOT
from safetensors.torch import load_file

PUBLIC_CASES = ROOT / "tests" / "goldens" / "public"

STORAGE_ONLY = (torch.float8_e4m3fn, torch.bfloat16, torch.float16)
"""Types that goldens use to save room; the reference computed with their float32 values."""


@dataclass(frozen=True)
class Tolerance:
    """How far an output may lie from the golden: |difference| <= atol + rtol * |golden|."""

    atol: float
    rtol: float

    def __str__(self) -> str:
        return "exact" if self.atol == 0 and self.rtol == 0 else f"atol {self.atol:g} rtol {self.rtol:g}"


UNSTATED = Tolerance(1e-4, 1e-5)
UNSTATED_FP16 = Tolerance(1e-3, 0)
"""Where a case states no tolerance for an output: float32 arithmetic, or half precision's storage error."""


@dataclass(frozen=True)
class Case:
    """One golden case, everything in float32 that is not an integer, a bool or float64.

    Attributes:
        name: `case` of case.json.
        kind: the key of its runner, found by parity_kinds.kind_of.
        folder: where case.json lies.
        config: `config` of case.json: every option of the run.
        info: the rest of case.json: info["info"] (what the reference logged), info["tensors"], ...
        weights: all weights, under the names of the reference's checkpoints.
        inputs: tensors `in_*`, those of shared files included.
        outputs: tensors `out_*`.
        tolerances: pairs of a glob pattern and a tolerance.
    """

    name: str
    kind: str
    folder: Path
    config: Mapping[str, Any]
    info: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]
    inputs: Mapping[str, torch.Tensor]
    outputs: Mapping[str, torch.Tensor]
    tolerances: tuple[tuple[str, Tolerance], ...]

    def tolerance_of(self, output: str) -> Tolerance:
        """The tolerance of the longest pattern that fits; a documented default where none does."""
        fitting = [pair for pair in self.tolerances if fnmatchcase(output, pair[0])]
        if fitting:
            return max(fitting, key=lambda pair: len(pair[0]))[1]
        stored = self.info["tensors"].get(output, {}).get("dtype", "float32")
        if stored.startswith(("int", "uint", "bool")):
            return Tolerance(0, 0)
        return UNSTATED_FP16 if stored in ("float16", "bfloat16") else UNSTATED


Runner = Callable[[Case], Mapping[str, torch.Tensor]]
"""Computes a case's outputs with the pack's own code, under the golden names."""


def load_case(folder: Path, kind_of: Callable[[Mapping[str, Any]], str]) -> Case:
    """Reads the case in `folder`; paths in case.json are relative to it."""
    meta: dict[str, Any] = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    tensors = load_upcast(folder / "io.safetensors")
    for shared in meta.get("shared_inputs") or []:
        tensors.update(load_upcast(folder / shared))
    weights: dict[str, torch.Tensor] = {}
    for file in meta.get("weights") or []:
        weights.update(load_upcast(folder / file))
    return Case(
        name=str(meta["case"]),
        kind=kind_of(meta),
        folder=folder,
        config=meta.get("config") or {},
        info={"tensors": {}, **{key: value for key, value in meta.items() if key != "config"}},
        weights=weights,
        inputs={name: value for name, value in tensors.items() if not name.startswith("out_")},
        outputs={name: value for name, value in tensors.items() if name.startswith("out_")},
        tolerances=tuple(read_tolerances(meta.get("tolerance") or {})),
    )


def load_upcast(file: Path) -> dict[str, torch.Tensor]:
    """Reads a safetensors file; types that only save room become float32, which loses nothing."""
    return {
        name: value.float() if value.dtype in STORAGE_ONLY else value
        for name, value in load_file(file).items()
    }


def read_tolerances(table: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Tolerance]]:
    """Splits the comma-separated patterns of case.json's tolerance table."""
    return [
        (pattern.strip(), Tolerance(0, 0) if row.get("exact") else Tolerance(row["atol"], row["rtol"]))
        for patterns, row in table.items()
        for pattern in patterns.split(",")
    ]


def use_comfyui() -> None:
    """Makes the host importable on the CPU; only runners that need it call this, before they import it."""
    folder = os.environ.get("COMFYUI_DIR") or str(ROOT / ".cache" / "ComfyUI")
    if not (Path(folder) / "comfy").is_dir():
        raise FileNotFoundError(f"no ComfyUI in {folder}: set COMFYUI_DIR to a ComfyUI checkout")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from comfy.cli_args import args

    args.cpu = True  # read once, when comfy.model_management is imported
    # main.py imports it first too: nodes.py puts comfy/ on sys.path, whose utils.py would take the name.
    importlib.import_module("utils.install_util")
