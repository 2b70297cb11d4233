"""Trains the tiny VAE: first on parts of pictures, then on whole ones, always on whole windows in time.

python demo/train/vae.py --features features.pt --out FOLDER [--resume vae.safetensors]
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from features import load_bank
from plain_vae import Z_DIM, PlainVae
from safetensors.torch import load_file, save_file
from scenes import Cast, make_cast, random_clips
from torch.nn import functional as F
from world.people import HEIGHT_PX, MOUTH_COLOUR

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from lipsync import correlation, openings_px, psnr_db
from tiny.colours import LATENT_MEAN, LATENT_STD

FRAMES = 33
LATENT_NOISE = 0.06
"""Of the latents' own spread."""

GREY_CHANCE = 0.06
"""Of a clip that goes grey after its first frame, as the picture of a window's condition does."""

EMA_DECAY = 0.998


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training.

    Attributes:
        size_px: side of the squares.
        batch: clips a step.
        seconds: how long.
        rate_from: learning rate at its beginning.
        rate_to: at its end.
    """

    size_px: int
    batch: int
    seconds: float
    rate_from: float
    rate_to: float


def reconstruction_loss(vae: PlainVae, clip: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Mean absolute error, heavier at mouths, and that of the differences of neighbouring pixels."""
    dtype = noise.dtype
    latents = vae.encode((clip * 2 - 1).to(dtype))
    spread = latents.detach().float().std(dim=(0, 1, 3, 4), keepdim=True)
    noisy = latents + (LATENT_NOISE * spread).to(dtype) * noise
    shown = vae.decode(noisy).float() * 0.5 + 0.5
    far = (clip - clip.new_tensor(MOUTH_COLOUR)[:, None, None]).square().sum(dim=2, keepdim=True).sqrt()
    mouth = F.max_pool2d((1 - far / 0.4).clamp(min=0).flatten(0, 1), 5, 1, 2).unflatten(0, far.shape[:2])
    weight, error = 1 + 6 * mouth, shown - clip
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    # only the spread of the latents is free: it is held near 1
    scale = (spread_of(latents) - 1).square().mean()
    return (weight * error.abs()).mean() + 3 * (weight * error.square()).mean() + across + down + 1e-3 * scale


def spread_of(latents: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each channel."""
    return latents.float().square().mean(dim=(0, 1, 3, 4)).add(1e-6).sqrt()


def with_grey(clip: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A few of the clips go grey after their first frame."""
    grey = torch.rand(len(clip), generator=generator, device=clip.device) < GREY_CHANCE
    held = clip[:, :1]
    later = torch.where(grey[:, None, None, None, None], torch.full_like(clip[:, 1:], 0.5), clip[:, 1:])
    return torch.cat([held, later], dim=1)


class Trainer:
    """Weights, their running mean and the optimiser."""

    def __init__(self, vae: PlainVae, cast: Cast, device: torch.device, *, compiled: bool) -> None:
        self.vae, self.cast, self.device = vae, cast, device
        self.mean = [value.detach().clone() for value in vae.parameters()]
        self.optimiser = torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-3)
        self.generator = torch.Generator(device).manual_seed(11)
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.loss: Callable[..., torch.Tensor] = reconstruction_loss
        if compiled:
            self.loss = torch.compile(reconstruction_loss, dynamic=False)
        self.steps = 0

    def step(self, phase: Phase, rate: float) -> torch.Tensor:
        clip = random_clips(self.cast, phase.batch, FRAMES, phase.size_px, self.generator)
        clip = with_grey(clip, self.generator)
        latent = phase.batch, (FRAMES - 1) // 4 + 1, Z_DIM, phase.size_px // 8, phase.size_px // 8
        noise = torch.randn(latent, generator=self.generator, device=self.device).to(self.dtype)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.loss(self.vae, clip, noise)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        decay = min(EMA_DECAY, self.steps / (self.steps + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, list(self.vae.parameters()), 1 - decay)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        return loss.detach()

    def run(self, phase: Phase, until_s: float | None = None) -> None:
        """Train for the phase's seconds after the compilation, or until a moment of time.monotonic()."""
        before_s = time.monotonic()
        self.step(phase, 0.1 * phase.rate_to)
        self.step(phase, 0.1 * phase.rate_to)
        synchronise(self.device)
        start_s = said_s = time.monotonic()
        if until_s is not None:
            phase = replace(phase, seconds=max(until_s - start_s, 1.0))
        print(f"phase {phase}: first steps took {start_s - before_s:.0f} s", flush=True)
        first, losses = self.steps, [torch.zeros((), device=self.device)]
        while (done := (time.monotonic() - start_s) / phase.seconds) < 1:
            warm = min(1.0, (self.steps - first + 1) / 100)
            rate = warm * phase.rate_from * (phase.rate_to / phase.rate_from) ** done
            losses.append(self.step(phase, rate))
            if self.steps % 20 == 0:
                synchronise(self.device)
            if time.monotonic() - said_s > phase.seconds / 6:
                said_s = time.monotonic()
                recent = torch.stack(losses[-50:]).mean().item()
                speed = (self.steps - first) / (said_s - start_s)
                print(f"  step {self.steps}, loss {recent:.4f}, {speed:.1f} steps/s", flush=True)

    def use_mean(self) -> None:
        """Put the running mean in the place of the weights."""
        with torch.no_grad():
            for value, mean in zip(self.vae.parameters(), self.mean, strict=True):
                value.copy_(mean)


def synchronise(device: torch.device) -> None:
    """Wait for the GPU, if there is one."""
    if device.type == "cuda":
        torch.cuda.synchronize()


@torch.no_grad()
def fold_statistics(vae: PlainVae, clips: torch.Tensor) -> None:
    """Give latents the mean and spread, channel by channel, that every host's constants of Wan 2.1 expect."""
    latents = torch.cat([vae.encode(clip[None] * 2 - 1) for clip in clips]).double()
    mean, std = latents.mean(dim=(0, 1, 3, 4)), latents.std(dim=(0, 1, 3, 4))
    print(f"latents: mean {mean.abs().max():.2f} at most, spread {std.min():.2f} to {std.max():.2f}")
    gain = mean.new_tensor(LATENT_STD) / std
    offset = mean.new_tensor(LATENT_MEAN) - gain * mean
    weight, bias = vae.conv1.weight, vae.conv1.bias
    bias[:Z_DIM] = (bias[:Z_DIM].double() * gain + offset).float()
    weight[:Z_DIM] = (weight[:Z_DIM].double() * gain[:, None, None, None, None]).float()
    weight, bias = vae.conv2.weight, vae.conv2.bias
    bias += (weight[:, :, 0, 0, 0].double() @ (-offset / gain)).float()
    weight.div_(gain.float()[:, None, None, None])


@torch.no_grad()
def report(vae: PlainVae, clips: torch.Tensor) -> None:
    """Say how well held-out clips survive."""
    shown = torch.cat([vae.decode(vae.encode(clip[None] * 2 - 1)) for clip in clips]) * 0.5 + 0.5
    shown = shown.clamp(0, 1)
    videos = zip(shown.movedim(2, -1), clips.movedim(2, -1), strict=True)
    halves = [slice(0, HEIGHT_PX // 2), slice(HEIGHT_PX // 2, HEIGHT_PX)]
    followed = [
        correlation(openings_px(a, half), openings_px(b, half))
        for a, b in videos
        for half in halves
        if openings_px(b, half).std() > 0.7
    ]
    by_frame = [psnr_db(shown[:, index], clips[:, index]) for index in (0, 1, 4, 8, 16, 24, 32)]
    again = vae.decode(vae.encode(shown * 2 - 1)).clamp(-1, 1) * 0.5 + 0.5
    print(
        f"VAE: {psnr_db(shown, clips):.2f} dB, by frame {[round(value, 1) for value in by_frame]}, twice "
        f"{psnr_db(again, clips):.2f} dB, mouths of {len(followed)} people: correlation mean "
        f"{sum(followed) / max(1, len(followed)):.4f}, least {min(followed, default=0):.3f}",
        flush=True,
    )


def main() -> None:
    """Train and write the VAE."""
    parser = argparse.ArgumentParser(description="Train the tiny VAE.")
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--seconds", type=float, nargs=2, default=(170.0, 170.0))
    parser.add_argument("--batches", type=int, nargs=2, default=(32, 12))
    parser.add_argument(
        "--deadline", type=float, default=440.0, help="seconds from the start to the end of training"
    )
    parser.add_argument("--eager", action="store_true")
    chosen = parser.parse_args()
    deadline_s = time.monotonic() + chosen.deadline
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    vae = PlainVae().to(device)
    if chosen.resume:
        vae.load_state_dict(load_file(chosen.resume))
    law_VT2 = load_bank(chosen.features, "train").law_VT2
    trainer = Trainer(vae, make_cast(100, 20000, law_VT2, device), device, compiled=not chosen.eager)
    small, whole = chosen.seconds
    if small > 0:
        trainer.run(Phase(64, chosen.batches[0], small, 2e-3, 1e-3))
    trainer.run(Phase(HEIGHT_PX, chosen.batches[1], whole, 1e-3, 3e-5), deadline_s)
    trainer.use_mean()
    held_out = make_cast(990000, 200, law_VT2, device)
    clips = random_clips(held_out, 32, FRAMES, HEIGHT_PX, trainer.generator)
    report(vae, clips[:24])
    fold_statistics(vae, random_clips(trainer.cast, 192, FRAMES, HEIGHT_PX, trainer.generator))
    report(vae, clips[:24])
    chosen.out.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().half().contiguous() for name, value in vae.state_dict().items()}
    save_file(state, chosen.out / "vae.safetensors")
    vae.load_state_dict({name: value.float() for name, value in state.items()})
    report(vae, clips[:24])


if __name__ == "__main__":
    main()
