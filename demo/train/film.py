"""Films of held-out people and voices during training, and how well their mouths follow.

The loop is the pack's, for a batch of scenes: four steps of Euler, motion frames held, windows joined.

Shape letters: N scenes, S voices, F frames, C channels, T latent frames, H and W latent rows and columns.
"""

import math
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from features import Bank
from latents import FRAMES, MOTION_FRAMES, MOTION_LATENTS, Codec, audio_of, reference_pose, with_grey
from scenes import Cast, Parts
from talker import Talker
from world.draw import Pose, draw

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from lipsync import colour_drift, correlation, measure_sync, openings_px

from evertalk_pack.multitalk.windows.join_metric import blend_overlap  # isort: skip

SHIFT = 5.0
SIGMAS = tuple(SHIFT * s / (1 + (SHIFT - 1) * s) for s in (1.0, 0.75, 0.5, 0.25, 0.0))
ADVANCE = FRAMES - MOTION_FRAMES
SPOKEN = 0.12
"""Deviation of a mouth's law in a window from which on there is something to follow."""

BLEND_FRAMES = MOTION_FRAMES
"""As the demo's look: the whole overlap goes over from one window's rendering to the next one's."""


@torch.no_grad()
def sample_window(
    talker: Talker,
    picture: torch.Tensor,
    motion: torch.Tensor,
    audio: torch.Tensor,
    text: torch.Tensor,
    masks_MP: torch.Tensor | None,
) -> torch.Tensor:
    """Normalised latents of a window."""
    held = motion.shape[2]
    known = torch.zeros_like(picture[:, :4])
    known[:, :, :1] = 1
    x = torch.randn_like(picture)
    for sigma, after in pairwise(SIGMAS):
        x = torch.cat([motion, x[:, :, held:]], dim=2)
        timestep = torch.full((len(x),), 1000 * sigma, device=x.device)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
            flow, _ = talker(torch.cat([x, known, picture], dim=1), timestep, text, audio, masks_MP)
        x = x + (after - sigma) * flow.float()
    return torch.cat([motion, x[:, :, held:]], dim=2)


@dataclass(frozen=True, slots=True)
class Direction:
    """How films are made.

    Attributes:
        text: the prompt's embedding.
        masks_MP: where two people are.
        windows: of a film.
        blend_frames: of the overlap that go over from one window's rendering to the next one's.
    """

    text: torch.Tensor
    masks_MP: torch.Tensor
    windows: int
    blend_frames: int = BLEND_FRAMES


@torch.no_grad()
def film(
    talker: Talker, codec: Codec, bank: Bank, reference: torch.Tensor, parts: Parts, direction: Direction,
    people: int,
) -> torch.Tensor:  # fmt: skip
    """Frames (N, F, 3, H, W) of several windows from references (N, 3, H, W)."""
    picture = codec.encode(with_grey(reference))
    motion = picture[:, :, :1]
    shown: list[torch.Tensor] = []
    masks_MP = direction.masks_MP if people > 1 else None
    blend_frames = direction.blend_frames
    for index in range(direction.windows):
        here = Parts(parts.voice_NS, parts.start_NS + index * ADVANCE)
        latents = sample_window(
            talker, picture, motion, audio_of(bank, here, people), direction.text, masks_MP
        )
        frames = codec.decode(latents)
        if index and blend_frames:
            shared = zip(shown[-1][:, -MOTION_FRAMES:], frames[:, :MOTION_FRAMES], strict=True)
            shown[-1][:, -MOTION_FRAMES:] = torch.stack(
                [blend_overlap(*both, blend_frames) for both in shared]
            )
        shown.append(frames[:, MOTION_FRAMES if index else 0 :])
        motion = codec.encode(frames[:, -MOTION_FRAMES:])
        assert motion.shape[2] == MOTION_LATENTS
    return torch.cat(shown, dim=1)


def examine(
    talker: Talker, codec: Codec, bank: Bank, cast: Cast, direction: Direction, counts: tuple[int, int]
) -> torch.Tensor:  # fmt: skip
    """Print how held-out people with held-out voices do; gives a few frames to look at."""
    device = direction.text.device
    generator = torch.Generator(device).manual_seed(77)
    frames = FRAMES + (direction.windows - 1) * ADVANCE
    pictures: list[torch.Tensor] = []
    for people, rows in ((1, range(counts[0])), (2, range(cast.scenes - counts[1], cast.scenes))):
        scenes = torch.tensor(list(rows), device=device)
        pose = reference_pose(len(scenes), generator)
        shut = Pose(torch.zeros_like(pose.opening), pose.narrow, pose.eyes, pose.dx, pose.dy)
        reference = draw(cast.people[scenes], cast.stage[scenes], shut)[:, 0]
        number = torch.arange(len(scenes), device=device)
        voices = len(bank.law_VT2)
        parts = Parts(
            torch.stack([number % voices, (number + voices // 2) % voices], 1),
            torch.zeros_like(number)[:, None].expand(-1, 2),
        )
        shown = film(talker, codec, bank, reference, parts, direction, people)
        pictures.append(shown[:6, 20:420:57].cpu())
        _report(
            people,
            shown.cpu().movedim(2, -1),
            reference.cpu().movedim(1, -1),
            bank.law_VT2[parts.voice_NS, :frames, 0].cpu(),
        )
    return torch.stack(pictures)


def _report(people: int, shown: torch.Tensor, reference: torch.Tensor, law_NSF: torch.Tensor) -> None:
    """One line for each thing measured."""
    half = shown.shape[3] // 2
    places = (slice(None),) if people == 1 else (slice(0, half), slice(half, None))
    own, others, lags, silent, loud = [], [], [], [], []
    windows: dict[int, list[float]] = {}
    for video, law_SF in zip(shown, law_NSF, strict=True):
        for s, place in enumerate(places):
            opening = openings_px(video, place)
            sync = measure_sync(opening[1:], law_SF[s, 1:])
            own.append(sync.correlation)
            lags.append(sync.lag)
            if people == 2:
                others.append(correlation(opening[1:], law_SF[1 - s, 1:]) - 0)
            silent.append(opening[1:][law_SF[s, 1:] < 0.02].mean().item())
            loud.append(opening[1:][law_SF[s, 1:] > 0.7].mean().item())
            for index in range((len(opening) - MOTION_FRAMES) // ADVANCE):
                cut = (
                    slice(1, FRAMES)
                    if index == 0
                    else slice(MOTION_FRAMES + index * ADVANCE, FRAMES + index * ADVANCE)
                )
                if law_SF[s, cut].std() > SPOKEN:
                    windows.setdefault(index, []).append(correlation(opening[cut], law_SF[s, cut]))
    steps = shown.diff(dim=1).abs().mean(dim=(2, 3, 4))
    joins = torch.arange(FRAMES - 1, steps.shape[1], ADVANCE)
    relative = steps / steps.median(dim=1, keepdim=True).values
    around = torch.stack([relative[:, joins + offset].mean() for offset in range(-MOTION_FRAMES, 3)])
    last = [colour_drift(video[-ADVANCE:], picture) for video, picture in zip(shown, reference, strict=True)]

    def mean(values: list[float]) -> float:
        good = [value for value in values if not math.isnan(value)]
        return sum(good) / max(1, len(good))

    chosen = {
        index + 1: round(mean(windows[index]), 3)
        for index in sorted(windows)
        if index in (0, 1, 2, 4, 9, 14, 19)
    }
    print(
        f"{people} person(s): correlation {mean(own):.3f}, least {min(own):.3f}, lags {sorted(set(lags))}, "
        f"other's {mean(others):.3f}"
    )
    print(
        f"   by window {chosen}; shut {mean(silent):.2f} px, loud {mean(loud):.2f} px; "
        f"drift {mean(last):.4f}, most {max(last):.4f}"
    )
    shown_around = [round(value, 2) for value in around.tolist()]
    print(
        f"   change across a join {around[MOTION_FRAMES]:.2f} of the median; frames around: {shown_around}",
        flush=True,
    )
