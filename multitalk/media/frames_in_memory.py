"""Decoded frames that a sampler hands over in memory, in the forms that samplers and scripts use.

Shape letters: F video frames, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from ..common.errors import ResultError

LARGEST = 2.0
"""Beyond the range -1..1 by rounding or overshoot, values stay below this; beyond it they are of another."""


@dataclass(frozen=True, slots=True)
class FramesInMemory:
    """Decoded frames, as they came: float -1..1 or uint8.

    Attributes:
        frames_FHWC: (frames, height, width, 3 or 4).
        lost_path: the output_path, if it names a file that is gone, else "".
    """

    frames_FHWC: torch.Tensor
    lost_path: str

    def unit_frames(self) -> tuple[torch.Tensor, tuple[str, ...]]:
        """The frames as float32 0..1, (frames, height, width, 3), a new tensor on the CPU; and doubts.

        Raises:
            ResultError: no frame holds numbers.
        """
        frames_FHWC = self.frames_FHWC[..., :3].detach()
        if frames_FHWC.dtype == torch.uint8:
            return frames_FHWC.cpu().float().div_(255), ()
        frames_FHWC = frames_FHWC.to("cpu", torch.float32, copy=True)
        notes = (*_mended(frames_FHWC), *_range_notes(frames_FHWC))
        return frames_FHWC.clamp_(-1, 1).add_(1).div_(2), notes


def frames_of(video: object) -> torch.Tensor | None:
    """Frames (F, H, W, 3 or 4) of a tensor or an array of them, of a batch, or of a list of frames; or None.

    Videos of a batch follow one another.
    """
    found = _as_tensor(video)
    if found is None:
        return None
    frames_FHWC = found.flatten(0, 1) if found.ndim == 5 else found
    known_type = frames_FHWC.is_floating_point() or frames_FHWC.dtype == torch.uint8
    is_video = frames_FHWC.ndim == 4 and frames_FHWC.shape[-1] in (3, 4) and bool(frames_FHWC.numel())
    return frames_FHWC if is_video and known_type else None


def _as_tensor(video: object) -> torch.Tensor | None:
    if isinstance(video, torch.Tensor):
        return video
    if isinstance(video, np.ndarray):
        array = cast("np.ndarray[tuple[int, ...], np.dtype[np.generic]]", video)
        return torch.from_numpy(array) if array.dtype.kind in "fu" else None
    if isinstance(video, list | tuple):
        frames = [_as_tensor(frame) for frame in cast("Sequence[object]", video)]
        tensors = [frame for frame in frames if frame is not None]
        same = len({(frame.shape, frame.dtype, frame.device) for frame in tensors}) == 1
        return torch.stack(tensors) if same and len(tensors) == len(frames) else None
    return None


def _mended(frames_FHWC: torch.Tensor) -> tuple[str, ...]:
    """Make what is not a number black, in place, and say how many frames it is in.

    Raises:
        ResultError: it is in all of them: the video would be black.
    """
    sums_F = frames_FHWC.sum(dim=(1, 2, 3))
    # A sum is NaN or infinite where a value is; of finite ones it may overflow, so the frame is looked at.
    bad = [index for index in (~sums_F.isfinite()).nonzero()[:, 0].tolist() if _is_broken(frames_FHWC[index])]
    if not bad:
        return ()
    if len(bad) == len(frames_FHWC):
        raise ResultError(
            "samples: every frame of 'video' holds NaN or infinite values, so there is no picture; choose "
            "another attention mode or precision in the model loader, and run the sampler again"
        )
    for index in bad:
        frames_FHWC[index].nan_to_num_(-1, -1, -1)
    note = (
        f"samples: {len(bad)} of {len(frames_FHWC)} frames hold NaN or infinite values, from frame "
        f"{bad[0] + 1} on; they are black there. Choose another attention mode or precision in the model "
        "loader"
    )
    return (note,)


def _is_broken(frame_HWC: torch.Tensor) -> bool:
    return not bool(frame_HWC.isfinite().all())


def _range_notes(frames_FHWC: torch.Tensor) -> tuple[str, ...]:
    low, high = (float(value) for value in frames_FHWC.aminmax())
    if low < 0 and high <= LARGEST and low >= -LARGEST:
        return ()
    note = (
        f"samples: the frames under 'video' hold {low:.3g} to {high:.3g} and are taken as -1 (black) to 1 "
        "(white), which WanVideoWrapper's sampler gives. If they look washed out or white, the node that "
        "made them uses another range: connect its IMAGE to Create Video instead"
    )
    return (note,)
