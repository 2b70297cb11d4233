"""Writes model folders as the hub has them, out of tiny weights: config, numbered files and their index."""

import json
from pathlib import Path
from typing import Any

import make_tiny
import torch
from safetensors.torch import load_file, save_file

INDEX = "diffusion_pytorch_model.safetensors.index.json"

Weights = dict[str, torch.Tensor]

FLASHTALK: dict[str, Any] = {"audio_window": 5, "output_dim": 64, "weight_init": True}
"""What FlashTalk's config has beside Wan's own."""

SKYREELS: dict[str, Any] = {name: value for name, value in FLASHTALK.items() if name != "weight_init"}
"""What SkyReels' config has."""


def config_of(weights: Weights, **more: Any) -> dict[str, Any]:
    """A config as published beside such weights; `more` is set in it, and left out where it is None."""
    patch = weights["patch_embedding.weight"].shape
    config = {
        "_class_name": "WanModel",
        "_diffusers_version": "0.30.0",
        "model_type": "i2v",
        "dim": patch[0],
        "in_dim": patch[1],
        "ffn_dim": len(weights["blocks.0.ffn.0.weight"]),
        "num_heads": patch[0] // 128,
        "num_layers": len({name.split(".")[1] for name in weights if name.startswith("blocks.")}),
        **more,
    }
    return {name: value for name, value in config.items() if value is not None}


def shard_name(number: int, count: int) -> str:
    """The name of one of `count` files, counted from 1."""
    return f"diffusion_pytorch_model-{number:05d}-of-{count:05d}.safetensors"


def write_folder(path: Path, weights: Weights, shards: int = 2, **config: Any) -> Path:
    """A whole model folder; neighbours in the alphabet lie in one file, as the hub's tools divide them."""
    path.mkdir(parents=True, exist_ok=True)
    names = sorted(weights)
    map_: dict[str, str] = {}
    for number in range(1, shards + 1):
        held = names[(number - 1) * len(names) // shards : number * len(names) // shards]
        file = shard_name(number, shards)
        save_file({name: weights[name] for name in held}, path / file, metadata={"format": "pt"})
        map_ |= dict.fromkeys(held, file)
    total = sum(tensor.nbytes for tensor in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": map_}
    (path / INDEX).write_text(json.dumps(index))
    (path / "config.json").write_text(json.dumps(config_of(weights, **config)))
    return path


def whole_weights(models: Path) -> Weights:
    """The hand-wired tiny base with its audio weights inside, from a models folder that has both."""
    return load_file(models / make_tiny.BASE_FILE) | load_file(models / make_tiny.TALK_FILE)


def write_flashtalk(models: Path, name: str) -> Path:
    """The tiny models of a models folder as one model folder of FlashTalk's form below it."""
    return write_folder(models / "diffusion_models" / name, whole_weights(models), **FLASHTALK)


def write_skyreels(models: Path, name: str) -> Path:
    """The same of SkyReels' form."""
    return write_folder(models / "diffusion_models" / name, whole_weights(models), **SKYREELS)
