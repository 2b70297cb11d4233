"""A drawn clip with sound: two people who talk, larger and faster than the videos that the miniatures make.

Shape letters: N scenes, S people of a scene, F frames, C colours, H and W pixels.
"""

from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from .draw import Cut, Pose, draw
from .mouth import FPS, SAMPLE_RATE_HZ, mouth_law
from .people import People, make_people, make_stage
from .poses import swaying
from .sounds import made_up_voice

CLIP_FPS = 30
HEIGHT_PX, WIDTH_PX = 240, 320
LEFT_PX, TOP_PX = 20, 56
"""Where the person on the left has the 128 x 128 pixels that the miniatures know."""

RIGHT_PX = 150
"""How much further right the other person has theirs."""

SEEDS = (77, 83)
VOICE_SEEDS = (5, 6)


def two_people() -> People:
    """Both people in one scene, in the coordinates of the left one's pixels."""
    left, right = (make_people(seed, 1, 1) for seed in SEEDS)
    both = {
        field.name: torch.stack([getattr(left, field.name)[:, 0], getattr(right, field.name)[:, 0]], dim=1)
        for field in fields(People)
    }
    both["x_NS"][:, 1] += RIGHT_PX
    return People(**both)


def clip_frames(seconds: float) -> torch.Tensor:
    """The clip's frames (F, H, W, 3), 0..1."""
    count = round(seconds * CLIP_FPS)
    times_F = torch.arange(count) * FPS / CLIP_FPS
    known = int(times_F[-1]) + 2
    laws = [mouth_law(made_up_voice(seed, seconds), known) for seed in VOICE_SEEDS]
    opening, narrow = (
        torch.stack([between(getattr(law, name), times_F) for law in laws])[None]
        for name in ("opening_F", "narrow_F")
    )
    pose: Pose = swaying(torch.Generator().manual_seed(1), opening, narrow)
    corner = (torch.tensor([float(-LEFT_PX)]), torch.tensor([float(-TOP_PX)]))
    pictures = draw(two_people(), make_stage(SEEDS[0], 1), pose, Cut(*corner, WIDTH_PX))
    return pictures[0, :, :, :HEIGHT_PX].clamp(0, 1).movedim(1, -1).contiguous()


def between(values_F: torch.Tensor, times_F: torch.Tensor) -> torch.Tensor:
    """Values at times between them, counted in values."""
    first = times_F.long()
    return torch.lerp(values_F[first], values_F[first + 1], times_F - first)


def write_clip(path: Path, seconds: float) -> None:
    """Write the clip as an mp4 with the sound of both voices."""
    voices = torch.stack([made_up_voice(seed, seconds) for seed in VOICE_SEEDS]).mean(dim=0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(CLIP_FPS), options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for frame_HWC in clip_frames(seconds):
            pixels = frame_HWC.mul(255).round().to(torch.uint8).numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
        samples = np.ascontiguousarray(voices.numpy(), np.float32)[None]
        block = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        block.sample_rate, block.pts = SAMPLE_RATE_HZ, 0
        container.mux(sound.encode(block))
        container.mux(sound.encode())
