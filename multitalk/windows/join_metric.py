"""The join of two windows: how visible it is, and a blend that hides it.

Shape letters: F frames, H and W pixels, C channels.
"""

from dataclasses import dataclass

import torch

NEIGHBOURS = 8
"""Frames on each side of a join whose ordinary change the step across it is compared with."""

STILL_CHANGE = 1e-3
"""Ordinary change of a still picture, a quarter of an 8-bit step in values of 0..1: less counts as this much,
so that the figure of a motionless video stays finite."""


@dataclass(frozen=True, slots=True)
class Seam:
    """How a join compares with the movement around it.

    Attributes:
        step: mean absolute change from the last frame before the join to the first after it.
        ordinary: median of the same change between the neighbouring frames.
    """

    step: float
    ordinary: float

    @property
    def figure(self) -> float:
        """The step in units of the ordinary change: about 1 for a join that cannot be seen."""
        return self.step / max(self.ordinary, STILL_CHANGE)


def seam_between(last_HWC: torch.Tensor, changes_before: torch.Tensor, after_FHWC: torch.Tensor) -> Seam:
    """The join after a frame, values 0..1.

    Args:
        last_HWC: the frame before the join.
        changes_before: the last changes up to it, see frame_changes; none if there are two frames after it.
        after_FHWC: the frames after the join.
    """
    after = after_FHWC[:NEIGHBOURS].float()
    changes = torch.cat([changes_before, frame_changes(after)])
    assert len(changes), "no ordinary change to compare with"
    ordinary = changes.median()
    step = (after[0] - last_HWC.float()).abs().mean()
    return Seam(step=float(step), ordinary=float(ordinary))


def blend_overlap(ending_FHWC: torch.Tensor, beginning_FHWC: torch.Tensor, frames: int) -> torch.Tensor:
    """Blends two renderings of the same frames: the ending window's, then linearly the beginning window's.

    Args:
        ending_FHWC: the overlap as the window before rendered it.
        beginning_FHWC: the same frames as the next window rendered them.
        frames: how many of the overlap's last frames are blended; the ones before stay the ending window's.
            0 blends nothing.
    """
    assert ending_FHWC.shape == beginning_FHWC.shape, "the overlap is the same frames twice"
    assert 0 <= frames <= len(ending_FHWC), f"{frames} frames of an overlap of {len(ending_FHWC)}"
    if frames == 0:
        return ending_FHWC
    steps = torch.arange(1, frames + 1, device=ending_FHWC.device, dtype=torch.float32) / (frames + 1)
    blended = torch.lerp(
        ending_FHWC[-frames:].float(), beginning_FHWC[-frames:].float(), steps[:, None, None, None]
    )
    return torch.cat([ending_FHWC[:-frames], blended.to(ending_FHWC.dtype)])


def frame_changes(frames_FHWC: torch.Tensor) -> torch.Tensor:
    """Mean absolute change from each frame to the next: one number fewer than frames."""
    return frames_FHWC.diff(dim=0).abs().mean(dim=(1, 2, 3))
