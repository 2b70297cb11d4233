"""What the tiny transformer and its audio branch learn from: batches, the flow loss, a step down it.

Shape letters: B batch, S voices, C channels, T latent frames, H and W latent rows and columns, M masks, P
tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from film import SHIFT, SIGMAS
from latents import MOTION_LATENTS, Pool, audio_of
from safetensors.torch import save_file
from scenes import Parts
from talker import Talker, is_matrix, through_fp8, used_in_training

FIXED_SHARE = 0.75
"""Of the samples, those at one of the four noise levels that the schedule runs."""

MOTION_NOISE = 0.06
MOTION_SHIFT = 0.06
"""How far given motion latents are off, so that small errors are mended rather than passed on."""

MAP_WEIGHT = 0.05

AREA, AREA_WEIGHT = 4, 1.0
"""An area's side in latent pixels, and how much its mean error counts beside its pixels': 1 is as much if
pixels err independently."""

EMA_DECAY = 0.998


@dataclass(frozen=True, slots=True)
class Batch:
    """One form's inputs and answers, on the device."""

    x: torch.Tensor
    timestep: torch.Tensor
    audio: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """In the order of flow_loss."""
        return self.x, self.timestep, self.audio, self.target, self.weight


def noise_levels(count: int, generator: torch.Generator) -> torch.Tensor:
    """Mostly the schedule's four; else anywhere, shifted."""
    device = generator.device
    fixed = torch.tensor(SIGMAS[:4], device=device)[
        torch.randint(4, (count,), generator=generator, device=device)
    ]
    even = torch.rand(count, generator=generator, device=device).clamp(1e-3)
    is_fixed = torch.rand(count, generator=generator, device=device) < FIXED_SHARE
    return torch.where(is_fixed, fixed, SHIFT * even / (1 + (SHIFT - 1) * even))


@torch.no_grad()
def make_batch(pool: Pool, bank: object, voices: int, count: int, generator: torch.Generator) -> Batch:
    """A random batch of the pool."""
    device = generator.device
    rows = torch.randint(len(pool), (count,), generator=generator, device=device)
    clip, picture = pool.clip_NCTHW[rows].float(), pool.picture_NCTHW[rows].float()
    motion, first = pool.motion_NCTHW[rows].float(), pool.first_N[rows]

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    off = MOTION_NOISE * normal(*motion.shape) + MOTION_SHIFT * normal(count, 16, 1, 1, 1)
    strength = torch.rand(count, generator=generator, device=device)[:, None, None, None, None]
    motion = motion + off * strength * (~first).float()[:, None, None, None, None]
    sigma = noise_levels(count, generator)
    level = sigma[:, None, None, None, None]
    noise = normal(*clip.shape)
    x = (1 - level) * clip + level * noise
    index = torch.arange(clip.shape[2], device=device)
    held = index[None] < torch.where(first, 1, MOTION_LATENTS)[:, None]
    given = torch.nn.functional.pad(motion, (0, 0, 0, 0, 0, clip.shape[2] - MOTION_LATENTS))
    x = torch.where(held[:, None, :, None, None], given, x)
    known = (index == 0).float()[None, None, :, None, None].expand(count, 4, -1, *clip.shape[3:])
    parts = Parts(pool.parts.voice_NS[rows], pool.parts.start_NS[rows])
    weight = pool.weight_NHW[rows][:, None, None] * (~held).float()[:, None, :, None, None]
    return Batch(
        torch.cat([x, known, picture], dim=1),
        1000 * sigma,
        audio_of(bank, parts, voices),  # pyright: ignore[reportArgumentType]
        noise - clip,
        weight / weight.mean(),
    )


def weighted(flow: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean squared error, mouths first, given frames left out; errors of whole areas count twice.

    An area's colour that is a little off does not show in a clip, but adds up over windows.
    """
    error = weight.sqrt() * (flow.float() - target)
    coarse = torch.nn.functional.avg_pool2d(error.flatten(0, 1), AREA)
    return error.square().mean() + AREA**2 * AREA_WEIGHT * coarse.square().mean()


def map_loss(maps: list[torch.Tensor], masks_MP: torch.Tensor) -> torch.Tensor:
    """How far the tokens of each person are from looking at that person most, in all blocks."""
    people = masks_MP.shape[0] - 1
    total = masks_MP.new_zeros(())
    for map_BML in maps:
        share = (map_BML.float() + 1e-6) / (map_BML.float() + 1e-6).sum(dim=1, keepdim=True)
        logs = share.log().unflatten(-1, (-1, masks_MP.shape[1]))
        for person in range(people):
            total = total - (logs[:, person] * masks_MP[person]).mean() * (
                masks_MP[person].numel() / masks_MP[person].sum()
            )
    return total / (people * len(maps))


def flow_loss(
    talker: Talker, single: tuple[torch.Tensor, ...], pair: tuple[torch.Tensor, ...],
    text: torch.Tensor, masks_MP: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Errors of one voice and of two, and of the speaker maps; matrices as fp8 will hold them."""
    weights = {
        name: through_fp8(value) if is_matrix(name, value) and used_in_training(name) else value
        for name, value in talker.named_parameters()
    }
    device = text.device.type
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        x, timestep, audio, target, weight = single
        flow, _ = torch.func.functional_call(talker, weights, (x, timestep, text, audio))
        alone = weighted(flow, target, weight)
        x, timestep, audio, target, weight = pair
        flow, maps = torch.func.functional_call(talker, weights, (x, timestep, text, audio, masks_MP))
    return alone, weighted(flow, target, weight), map_loss(maps, masks_MP)


def descend(
    loss_of: Callable[..., tuple[torch.Tensor, ...]], talker: Talker, batches: list[tuple[torch.Tensor, ...]],
    text: torch.Tensor, masks_MP: torch.Tensor,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """Gradients of a step; gives its losses."""
    parts = loss_of(talker, batches[0], batches[1], text, masks_MP)
    (0.6 * parts[0] + 0.4 * parts[1] + MAP_WEIGHT * parts[2]).backward()
    return parts


def save(mean: dict[str, torch.Tensor], out: Path) -> None:
    """Write the running mean, the part of the base and the part of the audio."""
    for part in ("tree", "talk"):
        state = {
            name.removeprefix(f"{part}."): value.half().contiguous().cpu()
            for name, value in mean.items()
            if name.startswith(f"{part}.") and used_in_training(name)
        }
        save_file(state, out / f"{part}.safetensors")
