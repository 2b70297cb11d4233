"""Whether one person of a drawn clip talks with another voice, and all else stayed.

Shape letters: F frames, H and W pixels, C colours; frames hold 0..1.
"""

from pathlib import Path

import av
import numpy as np
import torch
from world.clip import CLIP_FPS, LEFT_PX, between
from world.lips import correlation, openings_px
from world.mouth import FPS, SAMPLE_RATE_HZ, mouth_law
from world.people import HEIGHT_PX


def compare_clips(clip: Path, made: Path, voice: Path) -> str:
    """One line on the left person's lips and on the other person, before and after."""
    before_FHWC, after_FHWC = frames_of(clip), frames_of(made)
    new, old = (lips_follow(frames_FHWC, voice) for frames_FHWC in (after_FHWC, before_FHWC))
    right = slice(LEFT_PX + HEIGHT_PX, None)
    frames = min(len(before_FHWC), len(after_FHWC))
    apart = (after_FHWC[:frames, :, right] - before_FHWC[:frames, :, right]).abs().mean()
    return (
        f"the lips on the left follow the new voice: correlation {new:.3f} (before: {old:.3f}); the encoder "
        f"changed the other person by {float(apart) * 255:.2f} of 255 on average"
    )


def lips_follow(frames_FHWC: torch.Tensor, voice: Path) -> float:
    """How the left mouth goes with a voice, from -1 to 1."""
    with av.open(str(voice)) as container:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
        blocks = [block for frame in container.decode(audio=0) for block in resampler.resample(frame)]
        blocks += resampler.resample(None)
    samples = torch.from_numpy(np.concatenate([block.to_ndarray()[0] for block in blocks]))
    times_F = torch.arange(len(frames_FHWC)) * FPS / CLIP_FPS
    law_F = between(mouth_law(samples, int(times_F[-1]) + 2).opening_F, times_F)
    return correlation(openings_px(frames_FHWC, slice(LEFT_PX, LEFT_PX + HEIGHT_PX)), law_F)


def frames_of(video: Path) -> torch.Tensor:
    """All frames (F, H, W, 3) of a small video."""
    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(pictures)).float() / 255
