"""What CLIP sees of each window.

Shape letters: H and W pixels, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..codecs.kept import CLIP_VIEW, KEPT, PICTURES_A_RUN, encoder_of
from ..report.progress import show_on_node
from .comfy_backend import SeeFrame

PREPARING = ("dtype", "image_size", "image_mean", "image_std", "return_all_hidden_states", "model_type")
"""How a CLIP vision model of the host prepares a frame and what it gives, as far as it says."""


class PerWindowClipVision:
    """Shows a window's frame to a CLIP vision model; a frame that stays the same is encoded once.

    Attributes:
        clip_vision: the model.
    """

    def __init__(self, clip_vision: Any) -> None:
        self.clip_vision = clip_vision
        self._frame_HWC: torch.Tensor | None = None
        self._seen: Any = None
        self._encoded = 0

    def __call__(self, frame_HWC: torch.Tensor) -> Any:
        """The host's CLIP vision output of a frame, 0..1."""
        if self._frame_HWC is not frame_HWC:
            self._encoded += 1
            self._seen = (
                self._look_at(frame_HWC) if self._encoded > PICTURES_A_RUN else self._recalled(frame_HWC)
            )
            self._frame_HWC = frame_HWC
        return self._seen

    def _recalled(self, frame_HWC: torch.Tensor) -> Any:
        model = self.clip_vision
        settings = [getattr(model, name, None) for name in PREPARING]
        encoder = encoder_of(getattr(model, "patcher", None), *settings)
        return KEPT.recall(encoder, frame_HWC, lambda: self._look_at(frame_HWC), CLIP_VIEW)

    def _look_at(self, frame_HWC: torch.Tensor) -> Any:
        # Squeezed to CLIP's square, not cut: so Wan's image-to-video models were trained.
        return self.clip_vision.encode_image(frame_HWC[None], crop=False)


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
