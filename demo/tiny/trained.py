"""The trained tiny models of demo/models as the loaders want them.

The repository holds matrices in fp8 with a scale each and leaves out what was never trained; here they
become half
precision again (quicker on a CPU), and the base gets the CLIP picture's part: zeros, so that a picture says
nothing.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

from .transformer import CLIP_DIM, DIM, Weights

MODELS = Path(__file__).resolve().parents[1] / "models"
SCALE = "scale_weight"


def have_trained() -> bool:
    """Whether the trained models are there."""
    return all(
        (MODELS / f"{name}.safetensors").is_file() for name in ("base", "talk", "vae", "speech", "prompt")
    )


def trained_base(_generator: torch.Generator) -> Weights:
    """The transformer, whole."""
    weights = _expanded("base")
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    weights |= _norm("img_emb.proj.0", CLIP_DIM) | _zeros("img_emb.proj.1", CLIP_DIM, CLIP_DIM)
    weights |= _zeros("img_emb.proj.3", CLIP_DIM, DIM) | _norm("img_emb.proj.4", DIM)
    for block in sorted(blocks, key=int):
        attention = f"blocks.{block}.cross_attn"
        weights |= _zeros(f"{attention}.k_img", DIM, DIM) | _zeros(f"{attention}.v_img", DIM, DIM)
        weights[f"{attention}.norm_k_img.weight"] = torch.ones(DIM).half()
    return weights


def trained_talk(_generator: torch.Generator) -> Weights:
    """The audio weights."""
    return {name: value.float() for name, value in _expanded("talk").items()}


def trained_vae(_generator: torch.Generator) -> Weights:
    """The VAE."""
    return load_file(MODELS / "vae.safetensors")


def trained_speech(_generator: torch.Generator) -> Weights:
    """The speech encoder."""
    return load_file(MODELS / "speech.safetensors")


def trained_prompt(_generator: torch.Generator) -> Weights:
    """The embedding of the only prompt that the models know."""
    return load_file(MODELS / "prompt.safetensors")


def _expanded(name: str) -> Weights:
    stored = load_file(MODELS / f"{name}.safetensors")
    del stored["scaled_fp8"]
    scales = {key.removesuffix(SCALE): stored.pop(key) for key in list(stored) if key.endswith(SCALE)}
    for key, scale in scales.items():
        stored[f"{key}weight"] = (stored[f"{key}weight"].float() * scale).half()
    return stored


def _zeros(name: str, inputs: int, outputs: int) -> Weights:
    return {
        f"{name}.weight": torch.zeros(outputs, inputs).half(),
        f"{name}.bias": torch.zeros(outputs).half(),
    }


def _norm(name: str, width: int) -> Weights:
    return {f"{name}.weight": torch.ones(width).half(), f"{name}.bias": torch.zeros(width).half()}
