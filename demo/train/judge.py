"""Films of held-out people by models that are there already: the figures of the model card.

python demo/train/judge.py --features features.pt --vae vae.safetensors --prompt ... --trained FOLDER
"""

import argparse
from pathlib import Path

import torch
from features import load_bank
from film import BLEND_FRAMES, Direction, examine
from latents import Codec
from plain_vae import PlainVae
from run_talk import make_talker, take_stored_form
from safetensors.torch import load_file
from scenes import make_cast

from evertalk_pack.multitalk.mask_places import default_masks  # isort: skip
from evertalk_pack.multitalk.speaker_masks import make_speaker_masks  # isort: skip


def main() -> None:
    """Make the films with and without blended joins, and print."""
    parser = argparse.ArgumentParser(description="Judge trained miniatures.")
    for name in ("features", "vae", "prompt", "trained"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--examined", type=int, nargs=2, default=(16, 12))
    chosen = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vae = PlainVae().to(device)
    vae.load_state_dict(load_file(chosen.vae))
    codec = Codec(vae.requires_grad_(requires_grad=False), device)
    talker = make_talker(chosen.trained, device)
    take_stored_form(dict(talker.named_parameters()))
    held = load_bank(chosen.features, "held").to(device)
    strangers = make_cast(880000, 100, held.law_VT2, device)
    text = load_file(chosen.prompt)["cross_attn"].float().to(device)
    masks_MP = make_speaker_masks(default_masks(2, 128, 128), 2, 128, 128).token_MK.to(device)
    for blend_frames in (0, BLEND_FRAMES):
        torch.manual_seed(0)
        print(f"joins blended over {blend_frames} frames")
        direction = Direction(text, masks_MP, chosen.windows, blend_frames)
        examine(talker, codec, held, strangers, direction, tuple(chosen.examined))


if __name__ == "__main__":
    main()
