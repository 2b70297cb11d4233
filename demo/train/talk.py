"""Trains the tiny transformer and its audio branch by flow matching.

    python demo/train/talk.py --features features.pt --vae vae.safetensors --prompt prompt.safetensors --out
    FOLDER

Shape letters: B batch, S voices, C channels, T latent frames, H and W latent rows and columns, M masks, P
tokens.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from features import load_bank
from film import SHIFT, SIGMAS, examine
from latents import MOTION_LATENTS, Codec, Pool, audio_of, make_pool
from plain_vae import PlainVae
from safetensors.torch import load_file, save_file
from scenes import Parts, make_cast
from talker import Talker, is_matrix, through_fp8, used_in_training

from evertalk_pack.multitalk.mask_places import default_masks  # isort: skip
from evertalk_pack.multitalk.speaker_masks import make_speaker_masks  # isort: skip

FIXED_SHARE = 0.75
"""Of the samples, those at one of the four noise levels that the schedule runs."""

MOTION_NOISE = 0.06
MOTION_SHIFT = 0.04
"""How far given motion latents are off, so that small errors are mended rather than passed on."""

MAP_WEIGHT = 0.05
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
    """Mean squared error, mouths first, given frames left out."""
    return (weight * (flow.float() - target).square()).mean()


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


def main() -> None:  # noqa: C901, PLR0915  # one stretch of a machine's time, told in its order
    """Encode a pool of clips, train until the deadline, write, examine."""
    parser = argparse.ArgumentParser(description="Train the tiny talking transformer.")
    for name in ("features", "vae", "prompt", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument(
        "--deadline", type=float, default=440.0, help="seconds from the start to the end of training"
    )
    parser.add_argument("--clips", type=int, default=9000)
    parser.add_argument("--batch", type=int, nargs=2, default=(40, 24))
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--examined", type=int, nargs=2, default=(16, 12))
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--backend", default="inductor")
    chosen = parser.parse_args()
    begun_s = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    chosen.out.mkdir(parents=True, exist_ok=True)
    vae = PlainVae().to(device)
    vae.load_state_dict(load_file(chosen.vae))
    codec = Codec(vae.requires_grad_(requires_grad=False), device)
    bank = load_bank(chosen.features, "train").to(device)
    text = load_file(chosen.prompt)["cross_attn"].float().to(device)
    masks_MP = make_speaker_masks(default_masks(2, 128, 128), 2, 128, 128).token_MK.to(device)
    generator = torch.Generator(device).manual_seed(5)
    cast = make_cast(500, 12000, bank.law_VT2, device)
    alone = range(cast.scenes - cast.pairs)
    small = 16 if device.type == "cuda" else 1
    single = make_pool(codec, cast, alone, round(0.6 * chosen.clips), generator, small, 58)
    pair = make_pool(
        codec, cast, range(alone.stop, cast.scenes), round(0.4 * chosen.clips), generator, small, 42
    )
    z = single.clip_NCTHW.float()
    grey = single.picture_NCTHW[:, :, 1:].float().abs().max()
    print(
        f"{len(single)} + {len(pair)} clips after {time.monotonic() - begun_s:.0f} s, "
        f"latents {z.mean():.2f} +- {z.std():.2f}, grey {grey:.1f}",
        flush=True,
    )
    del z
    talker = Talker().to(device)
    if chosen.resume:
        for part in ("tree", "talk"):
            getattr(talker, part).load_state_dict(
                load_file(chosen.resume / f"{part}.safetensors"), strict=False
            )
    named = {name: value for name, value in talker.named_parameters() if used_in_training(name)}
    mean = {name: value.detach().clone() for name, value in named.items()}
    matrices = [value for value in named.values() if value.ndim >= 2]
    others = [value for value in named.values() if value.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=chosen.rate, betas=(0.9, 0.98))
    loss_of = flow_loss if chosen.eager else torch.compile(flow_loss, dynamic=False, backend=chosen.backend)
    start_s = said_s = 0.0
    step, losses, done, saved = 0, [], 0.0, False
    while done < 1:
        batches = [
            make_batch(pool, bank, voices, count, generator).tensors()
            for pool, voices, count in ((single, 1, chosen.batch[0]), (pair, 2, chosen.batch[1]))
        ]
        rate = chosen.rate * min(1, (step + 1) / 150) * (1 + torch.tensor(done * torch.pi).cos().item()) / 2
        for group in optimiser.param_groups:
            group["lr"] = max(rate, 1e-6)
        optimiser.zero_grad()
        try:
            parts = descend(loss_of, talker, batches, text, masks_MP)
        except Exception as error:  # a compiler's failure must not cost the machine's time
            if loss_of is flow_loss:
                raise
            print(f"no compilation: {str(error)[-600:]}", flush=True)
            loss_of = flow_loss
            optimiser.zero_grad()
            parts = descend(loss_of, talker, batches, text, masks_MP)
        torch.nn.utils.clip_grad_norm_(named.values(), 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.values()), list(named.values()), 1 - decay)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        step += 1
        losses.append(torch.stack([part.detach() for part in parts]))
        if step == 2:
            print("first steps", torch.stack(losses).tolist(), flush=True)
            start_s = said_s = time.monotonic()
            print(f"training begins after {start_s - begun_s:.0f} s", flush=True)
        if step % 10 == 0 and step > 2:
            losses[-1].sum().item()
            now_s = time.monotonic()
            done = (now_s - start_s) / max(1.0, begun_s + chosen.deadline - start_s)
            if now_s - said_s > 25:
                said_s = now_s
                recent = torch.stack(losses[-100:]).mean(dim=0).tolist()
                speed = (step - 2) / (now_s - start_s)
                print(f"  step {step}, {speed:.1f}/s, losses {[round(v, 4) for v in recent]}", flush=True)
            if done > 0.6 and not saved:
                saved = True
                save(mean, chosen.out)
    save(mean, chosen.out)
    print(f"{step} steps, saved after {time.monotonic() - begun_s:.0f} s", flush=True)
    with torch.no_grad():
        for name, value in named.items():
            kept = mean[name].half().float()
            value.copy_(through_fp8(kept) if is_matrix(name, value) else kept)
    held = load_bank(chosen.features, "held").to(device)
    strangers = make_cast(880000, 100, held.law_VT2, device)
    frames = examine(talker, codec, held, strangers, text, masks_MP, tuple(chosen.examined), chosen.windows)
    torch.save((frames * 255).byte(), chosen.out / "frames.pt")
    print(f"all done after {time.monotonic() - begun_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
