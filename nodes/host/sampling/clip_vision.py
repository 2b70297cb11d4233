"""What CLIP sees of each window.

Shape letters: H and W pixels, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..report.progress import show_on_node
from .comfy_backend import SeeFrame


class PerWindowClipVision:
    """Shows a window's frame to a CLIP vision model; a frame that stays the same is encoded once.

    Attributes:
        clip_vision: the model.
    """

    def __init__(self, clip_vision: Any) -> None:
        self.clip_vision = clip_vision
        self._frame_HWC: torch.Tensor | None = None
        self._seen: Any = None

    def __call__(self, frame_HWC: torch.Tensor) -> Any:
        """The host's CLIP vision output of a frame, 0..1."""
        if self._frame_HWC is not frame_HWC:
            # Squeezed to CLIP's square, not cut: so Wan's image-to-video models were trained.
            self._seen = self.clip_vision.encode_image(frame_HWC[None], crop=False)
            self._frame_HWC = frame_HWC
        return self._seen


@dataclass(frozen=True, slots=True)
class FixedClipVision:
    """The same picture for every window.

    Attributes:
        seen: the host's CLIP vision output, or None.
    """

    seen: Any

    def __call__(self, frame_HWC: torch.Tensor) -> Any:
        """What was seen, whatever the frame."""
        del frame_HWC
        return self.seen


def seeing(inputs: Mapping[str, Any]) -> SeeFrame:
    """What CLIP sees: each window's own frame where there is a model, else the same in all of them.

    Args:
        inputs: what the host hands the sampler; a socket that is not connected is missing there.
    """
    clip_vision = inputs.get("clip_vision")
    if clip_vision is None:
        return FixedClipVision(inputs.get("clip_vision_output"))
    if "clip_vision_output" in inputs:
        show_on_node("clip_vision and clip_vision_output are both connected: clip_vision is used")
    return PerWindowClipVision(clip_vision)


def clip_vision_notes(see: SeeFrame, *, frames_change: bool) -> tuple[str, ...]:
    """Says that CLIP looks at one picture while the windows' frames change."""
    if not (frames_change and isinstance(see, FixedClipVision) and see.seen is not None):
        return ()
    return (
        "clip_vision_output: CLIP sees this one picture in every window, but the windows' own pictures "
        "change. Connect clip_vision instead to show it each window's own",
    )
