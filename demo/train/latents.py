"""Clips of the world as latents, with what a window is conditioned on: what the transformer is trained on.

Shape letters: N clips, S people, F frames, C channels, T latent frames, H and W latent rows and columns.
"""

import time
from dataclasses import dataclass, replace

import torch
from features import Bank
from plain_vae import PlainVae
from scenes import Cast, Parts, pose_of, random_parts
from tiny.colours import LATENT_MEAN, LATENT_STD
from world.draw import MOUTH_REACH, Pose, draw
from world.people import People
from world.poses import swaying

FRAMES = 33
MOTION_FRAMES = 9
MOTION_LATENTS = 3
LATENT_SIDE = 16
CLIPS_PER_REFERENCE = 3
FIRST_SHARE = 0.4
"""Of the clips, those that begin with the reference itself, as a first window does."""

OPEN_SHARE = 0.4
"""Of the references, those whose mouth is open."""

TWICE_SHARE = 0.6
"""Of the later windows, those whose motion frames went through the VAE twice, as generated ones do."""

MOUTH_WEIGHT = 6.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Encoded clips; latents are normalised, in half precision.

    Attributes:
        clip_NCTHW: what is to be shown.
        picture_NCTHW: the reference followed by grey.
        motion_NCTHW: the first latents, as they will be given.
        first_N: whether the clip begins with the reference; then only one latent is given.
        parts: who says what.
        weight_NHW: how much an error counts.
    """

    clip_NCTHW: torch.Tensor
    picture_NCTHW: torch.Tensor
    motion_NCTHW: torch.Tensor
    first_N: torch.Tensor
    parts: Parts
    weight_NHW: torch.Tensor

    def __len__(self) -> int:
        return len(self.first_N)


class Codec:
    """Frames (N, F, 3, H, W), 0..1, to normalised latents (N, C, T, H, W) and back."""

    def __init__(self, vae: PlainVae, device: torch.device) -> None:
        self.vae, self.device = vae, device
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.mean = torch.tensor(LATENT_MEAN, device=device)[:, None, None, None]
        self.std = torch.tensor(LATENT_STD, device=device)[:, None, None, None]

    @torch.no_grad()
    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        raw = self.vae.encode((frames * 2 - 1).to(self.dtype)).float().transpose(1, 2)
        return (raw - self.mean) / self.std

    @torch.no_grad()
    def decode(self, latents_NCTHW: torch.Tensor) -> torch.Tensor:
        raw = (latents_NCTHW.float() * self.std + self.mean).transpose(1, 2).to(self.dtype)
        return (self.vae.decode(raw).float() * 0.5 + 0.5).clamp(0, 1)


def with_grey(reference: torch.Tensor) -> torch.Tensor:
    """References (N, 3, H, W) followed by grey frames."""
    grey = torch.full_like(reference[:, None], 0.5).expand(-1, FRAMES - 1, -1, -1, -1)
    return torch.cat([reference[:, None], grey], dim=1)


def reference_pose(count: int, generator: torch.Generator) -> Pose:
    """Of one frame: eyes open, mouth mostly shut."""
    shape = (count, 2, 1)
    opening = torch.rand(shape, generator=generator, device=generator.device)
    is_open = torch.rand(shape, generator=generator, device=generator.device) < OPEN_SHARE
    pose = swaying(
        generator, torch.where(is_open, opening, torch.zeros_like(opening)), torch.zeros_like(opening)
    )
    return replace(pose, eyes=torch.ones_like(opening))


def begin_with(pose: Pose, reference: Pose, first_N: torch.Tensor) -> Pose:
    """The pose, whose first frame is the reference's in the clips that are first."""
    held = first_N[:, None, None]

    def led(value: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        moved = value - value[..., :1] + start
        return torch.where(held, moved, value)

    def begun(value: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.where(held, start, value[..., :1]), value[..., 1:]], dim=-1)

    return Pose(
        begun(pose.opening, reference.opening),
        begun(pose.narrow, reference.narrow),
        begun(pose.eyes, reference.eyes),
        led(pose.dx, reference.dx),
        led(pose.dy, reference.dy),
    )


def mouth_weights(people: People) -> torch.Tensor:
    """1 and, at mouths, more: (N, H, W)."""
    line = (torch.arange(LATENT_SIDE, device=people.x_NS.device) + 0.5) * 8
    row_N1H1 = (people.y_NS + people.mouth_low_NS * people.height_NS)[..., None, None] - line[:, None]
    column_N11W = people.x_NS[..., None, None] - line
    tall = (MOUTH_REACH * people.height_NS + 5)[..., None, None]
    wide = (people.mouth_wide_NS * people.width_NS + 5)[..., None, None]
    inside = ((row_N1H1 / tall).abs() < 1) & ((column_N11W / wide).abs() < 1)
    return 1 + (MOUTH_WEIGHT - 1) * inside.any(dim=1).float()


@torch.no_grad()
def make_pool(
    codec: Codec, cast: Cast, rows: range, clips: int, generator: torch.Generator, chunk: int, seconds: float
) -> Pool:
    """Draw and encode about `clips` clips of the people in `rows`, or fewer when the time is over."""
    until_s = time.monotonic() + seconds
    device = generator.device
    done: list[Pool] = []
    while not done or (sum(len(part) for part in done) < clips and time.monotonic() < until_s):
        scenes = torch.randint(rows.start, rows.stop, (chunk,), generator=generator, device=device)
        done.append(_make_part(codec, cast, scenes, generator))
        done[-1].first_N.any().item()  # waits for the GPU, so that the clock is right
    names = ("clip_NCTHW", "picture_NCTHW", "motion_NCTHW", "first_N")
    joined = [torch.cat([getattr(part, name) for part in done]) for name in names]
    parts = Parts(
        torch.cat([part.parts.voice_NS for part in done]), torch.cat([part.parts.start_NS for part in done])
    )
    clip, picture, motion, first = joined
    weight_NHW = torch.cat([part.weight_NHW for part in done])
    return Pool(clip, picture, motion, first, parts, weight_NHW)


def _make_part(codec: Codec, cast: Cast, scenes: torch.Tensor, generator: torch.Generator) -> Pool:
    device = generator.device
    people, stage = cast.people[scenes], cast.stage[scenes]
    reference = reference_pose(len(scenes), generator)
    picture = codec.encode(with_grey(draw(people, stage, reference)[:, 0])).half()
    repeated = torch.arange(len(scenes), device=device).repeat_interleave(CLIPS_PER_REFERENCE)
    count = len(repeated)
    reference = Pose(*(getattr(reference, name)[repeated] for name in Pose.__slots__))
    parts = random_parts(cast, count, FRAMES, generator)
    first = torch.rand(count, generator=generator, device=device) < FIRST_SHARE
    from_start = first & (torch.rand(count, generator=generator, device=device) < 0.3)
    parts = replace(
        parts, start_NS=torch.where(from_start[:, None], torch.zeros_like(parts.start_NS), parts.start_NS)
    )
    pose = begin_with(pose_of(cast, parts, FRAMES, generator), reference, first)
    people, stage = people[repeated], stage[repeated]
    clip = codec.encode(draw(people, stage, pose))
    picture = picture[repeated]
    twice = codec.encode(codec.decode(clip[:, :, :MOTION_LATENTS]))
    again = torch.rand(count, generator=generator, device=device) < TWICE_SHARE
    motion = torch.where(again[:, None, None, None, None], twice, clip[:, :, :MOTION_LATENTS]).half()
    motion[:, :, :1] = torch.where(first[:, None, None, None, None], picture[:, :, :1], motion[:, :, :1])
    return Pool(clip.half(), picture, motion, first, parts, mouth_weights(people))


def audio_of(bank: Bank, parts: Parts, voices: int, frames: int = FRAMES) -> torch.Tensor:
    """What the projector hears, (N, voices, frames, 5, L, C)."""
    heard = [bank.windows(parts.voice_NS[:, s], parts.start_NS[:, s], frames) for s in range(voices)]
    return torch.stack(heard, dim=1)
