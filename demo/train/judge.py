"""Films of held-out people by models that are there already: the figures of the model card.

python demo/train/judge.py --features features.pt --vae vae.safetensors --prompt ... --trained FOLDER
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from export import MODELS
from features import Bank, load_bank
from film import ADVANCE, BLEND_FRAMES, SPOKEN, Direction, examine, film
from latents import FRAMES, MOTION_FRAMES, Codec
from lipsync import colour_drift, correlation, openings_px
from plain_vae import PlainVae
from run_talk import make_talker, take_stored_form
from safetensors.torch import load_file
from scenes import Cast, Parts, make_cast
from talker import Talker
from world.draw import Pose, draw

from evertalk_pack.multitalk.common.mask_places import default_masks  # isort: skip
from evertalk_pack.multitalk.speakers.masks import make_speaker_masks  # isort: skip


LONG_FILMS = 4


def one_voice(bank: Bank) -> Bank:
    """All voices of the bank one after the other, as a single one."""
    return Bank(bank.bytes_VTC.flatten(0, 1)[None], bank.scale_C, bank.law_VT2.flatten(0, 1)[None])


def keep_record(talker: Talker, codec: Codec, bank: Bank, cast: Cast, direction: Direction) -> dict[str, Any]:
    """How LONG_FILMS of one person keep: each window's colour drift, correlation and join, over all films."""
    device = direction.text.device
    voice, number = one_voice(bank), torch.arange(LONG_FILMS, device=device)
    still = torch.zeros(LONG_FILMS, 2, 1, device=device)
    pose = Pose(still, still, torch.ones_like(still), still, still)
    reference = draw(cast.people[number], cast.stage[number], pose)[:, 0]
    starts = number * (voice.law_VT2.shape[1] // (2 * LONG_FILMS))
    parts = Parts(torch.zeros_like(number)[:, None].expand(-1, 2), starts[:, None].expand(-1, 2))
    shown = film(talker, codec, voice, reference, parts, direction, people=1).cpu().movedim(2, -1)
    joins = torch.arange(FRAMES - 1, shown.shape[1] - 1, ADVANCE)
    steps = shown.diff(dim=1).abs().mean(dim=(2, 3, 4))
    relative = (steps[:, joins] / steps.median(dim=1, keepdim=True).values).mean(dim=0)
    pictures = reference.cpu().movedim(1, -1)
    drift: list[float] = []
    follows: list[float] = []
    for begin in range(0, shown.shape[1] - ADVANCE, ADVANCE):
        span = slice(begin + 1, begin + 1 + ADVANCE)
        each = [colour_drift(video[span], picture) for video, picture in zip(shown, pictures, strict=True)]
        drift.append(max(each))
        laws = [voice.law_VT2[0, start:, 0][span].cpu() for start in starts.tolist()]
        moving = [
            correlation(openings_px(video[span]), law)
            for video, law in zip(shown, laws, strict=True)
            if law.std() > SPOKEN
        ]
        follows.append(sum(moving) / len(moving) if moving else math.nan)
    return {
        "seconds_a_window": ADVANCE / 25,
        "largest_drift": [round(value, 5) for value in drift],
        "correlation": [None if math.isnan(value) else round(value, 4) for value in follows],
        "join": [round(value, 3) for value in relative.tolist()],
    }


def main() -> None:
    """Make the films, print how they do, or write how the long ones keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("features", "trained"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("vae", "prompt"):
        parser.add_argument(f"--{name}", type=Path, default=MODELS / f"{name}.safetensors")
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--examined", type=int, nargs=2, default=(16, 12))
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--out", type=Path)
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
    torch.manual_seed(0)
    if chosen.minutes:
        windows = round((chosen.minutes * 60 * 25 - MOTION_FRAMES) / ADVANCE)
        record = keep_record(talker, codec, held, strangers, Direction(text, masks_MP, windows))
        chosen.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
        return
    for blend_frames in (0, BLEND_FRAMES):
        print(f"joins blended over {blend_frames} frames")
        direction = Direction(text, masks_MP, chosen.windows, blend_frames)
        examine(talker, codec, held, strangers, direction, tuple(chosen.examined))


if __name__ == "__main__":
    main()
