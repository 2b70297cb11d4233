"""Writes the tiny models of the demo and the tests into a ComfyUI models folder.

    python demo/make_tiny.py --models /path/to/ComfyUI/models

They carry the real weights' names and load through the loaders of the real ones. The trained ones, from
demo/models, make cartoon people talk. With --wired, or where demo/models is missing, they are ones that
nobody
trained: transformer and VAE are wired by hand to show any start image, coarsely, and speech makes it lighter
and darker.
The same files come out each time; those already there and equal are left alone.
"""

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save
from tiny.speech import make_speech_encoder
from tiny.talk import make_talk
from tiny.trained import (
    have_trained,
    trained_base,
    trained_prompt,
    trained_speech,
    trained_talk,
    trained_vae,
)
from tiny.transformer import TEXT_DIM, Weights, make_transformer, normal
from tiny.vae import make_vae

VERSION = "2"
SEED = 20250

BASE_FILE = "diffusion_models/evertalk_tiny_wan_i2v.safetensors"
TALK_FILE = "model_patches/evertalk_tiny_infinitetalk.safetensors"
SPEECH_FILE = "audio_encoders/evertalk_tiny_wav2vec2.safetensors"
VAE_FILE = "vae/evertalk_tiny_wan_vae.safetensors"
PROMPT_FILE = "evertalk_text_embeds/evertalk_tiny_prompt.safetensors"
NEGATIVE_FILE = "evertalk_text_embeds/evertalk_tiny_negative.safetensors"

PROMPT_TOKENS = 32
PROMPT_STD = 0.2

logger = logging.getLogger("evertalk")


def _make_prompt(generator: torch.Generator) -> Weights:
    return {"cross_attn": normal(generator, (1, PROMPT_TOKENS, TEXT_DIM), PROMPT_STD).half()}


Makers = dict[str, Callable[[torch.Generator], Weights]]

WIRED: Makers = {
    BASE_FILE: make_transformer,
    TALK_FILE: make_talk,
    SPEECH_FILE: make_speech_encoder,
    VAE_FILE: make_vae,
    PROMPT_FILE: _make_prompt,
    NEGATIVE_FILE: _make_prompt,
}
TRAINED: Makers = {
    BASE_FILE: trained_base,
    TALK_FILE: trained_talk,
    SPEECH_FILE: trained_speech,
    VAE_FILE: trained_vae,
    PROMPT_FILE: trained_prompt,
    NEGATIVE_FILE: trained_prompt,
}


def make_all(models: Path, makers: Makers) -> list[Path]:
    """Write every tiny model that is missing or differs below `models`; gives those written."""
    written: list[Path] = []
    for number, (name, make) in enumerate(makers.items()):
        content = save(make(torch.Generator().manual_seed(SEED + number)), _metadata(name))
        path = models / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)
        written.append(path)
    return written


def _metadata(name: str) -> dict[str, str]:
    """One entry: safetensors writes several in no fixed order, and the bytes would differ."""
    if name in (PROMPT_FILE, NEGATIVE_FILE):
        about = {
            "version": 1,
            "prompt": "random numbers: the tiny models know no words",
            "model": Path(BASE_FILE).stem,
        }
        return {"evertalk_text_embeds": json.dumps(about)}
    return {"evertalk_tiny": VERSION}


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description="Write EverTalk's tiny models.")
    parser.add_argument("--models", type=Path, required=True, help="ComfyUI's models folder")
    parser.add_argument("--wired", action="store_true", help="the hand-wired models that nobody trained")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chosen = parser.parse_args()
    models: Path = chosen.models
    makers = TRAINED if have_trained() and not chosen.wired else WIRED
    written = make_all(models, makers)
    for path in written:
        logger.info("wrote %s (%.1f MB)", path, path.stat().st_size / 1e6)
    logger.info(
        "%s tiny models in %s: %d written, %d already there",
        "trained" if makers is TRAINED else "hand-wired",
        models,
        len(written),
        len(makers) - len(written),
    )


if __name__ == "__main__":
    main()
