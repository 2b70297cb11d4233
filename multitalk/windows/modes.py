"""What a window is conditioned on: InfiniteTalk's way, which FlashTalk shares, MultiTalk's, and SkyReels'.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames. Frames hold 0..1; the VAE's mid-grey is 0.5.
Source: MeiGen-AI/InfiniteTalk and MeiGen-AI/MultiTalk, wan/multitalk.py; SkyworkAI/SkyReels-V3,
skyreels_v3/pipelines/talking_avatar_pipeline.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch

from ...wanvideo.geometry import latent_frames
from ..model.checkpoint import TalkMode
from .ending import Ending, unknown_mask

GREY = 0.5

Encode = Callable[[torch.Tensor], torch.Tensor]
"""Frames (F, H, W, 3), 0..1 -> raw VAE latents (1, 16, T, H / 8, W / 8)."""


@dataclass(frozen=True, slots=True)
class PictureClip:
    """What is encoded of a window that knows a picture: that, grey, and what the window ends on.

    Attributes:
        picture_HWC: the picture.
        frames: of the window.
        ending: what it ends on, or None.
    """

    picture_HWC: torch.Tensor
    frames: int
    ending: Ending | None = None

    @property
    def frames_FHWC(self) -> torch.Tensor:  # noqa: N802  # letters of a shape
        """All its frames."""
        return padded_with_grey(self.picture_HWC[None], self.frames, self.ending)


RecallPicture = Callable[[PictureClip, Encode], torch.Tensor]
"""The raw latents of a picture's clip: kept from before, or encoded."""


def encode_now(clip: PictureClip, encode: Encode) -> torch.Tensor:
    """Nothing is kept from before."""
    return encode(clip.frames_FHWC)


@dataclass(frozen=True, slots=True)
class Pin:
    """Latent frames at the window's start that are set again at every model call.

    Attributes:
        latents_BCTHW: raw VAE latents of the motion frames.
        noised: mix in fresh noise at the call's noise level (MultiTalk); else they stay clean (InfiniteTalk).
    """

    latents_BCTHW: torch.Tensor
    noised: bool


@dataclass(frozen=True, slots=True)
class WindowCondition:
    """What the transformer is given beside noise, text and audio.

    Attributes:
        picture_BCTHW: raw VAE latents of the known frames followed by grey.
        known_latents: how many latent frames at the start the mask marks as known.
        pin: latents that are held at the window's start, or None.
        clip_frame_HWC: the frame that CLIP sees.
        known_at_end: how many frames at the end the mask marks as known.
    """

    picture_BCTHW: torch.Tensor
    known_latents: int
    pin: Pin | None
    clip_frame_HWC: torch.Tensor
    known_at_end: int = 0

    @property
    def unknown_BCTHW(self) -> torch.Tensor:  # noqa: N802  # letters of a shape
        """1 for what is to be made, 0 for what is known; of the picture's height and width."""
        picture = self.picture_BCTHW
        mask = unknown_mask(picture.shape[2], self.known_latents, self.known_at_end)
        return mask.to(picture).expand(-1, -1, -1, *picture.shape[3:])


@dataclass(frozen=True, slots=True)
class WindowInputs:
    """What there is of a window before it is made.

    Attributes:
        reference_HWC: its picture.
        motion_FHWC: last frames of the window before; None in the first window and at a cut.
        window_frames: how many frames it will have.
        ending: what it ends on, or None.
    """

    reference_HWC: torch.Tensor
    motion_FHWC: torch.Tensor | None
    window_frames: int
    ending: Ending | None = None

    @property
    def known_at_end(self) -> int:
        """How many frames at its end are known."""
        return 0 if self.ending is None else self.ending.frames


class WindowMode(Protocol):
    """Builds the condition of each window.

    Attributes:
        sees_reference: every window sees its reference; else those after the first see frames before them.
    """

    sees_reference: ClassVar[bool]

    def condition(self, known: WindowInputs, encode: Encode) -> WindowCondition:
        """The condition of a window; `encode` is the VAE's encoder."""
        ...


def padded_with_grey(frames_FHWC: torch.Tensor, count: int, ending: Ending | None = None) -> torch.Tensor:
    """`count` frames: the given ones, then mid-grey, and what the window ends on."""
    padded_FHWC = frames_FHWC.new_full((count, *frames_FHWC.shape[1:]), GREY)
    padded_FHWC[: len(frames_FHWC)] = frames_FHWC
    if ending is not None:
        padded_FHWC[-ending.frames :] = ending.picture_HWC
    return padded_FHWC


class InfiniteTalkMode:
    """The reference picture conditions every window; motion frames are pinned clean.

    Holds the encoded reference of the last window: with a still picture it is the same in all of them.

    Args:
        recall: gives the latents of a picture.
    """

    sees_reference: ClassVar[bool] = True

    def __init__(self, recall: RecallPicture = encode_now) -> None:
        self._recall = recall
        self._reference_HWC: torch.Tensor | None = None
        self._picture_BCTHW: torch.Tensor | None = None

    def condition(self, known: WindowInputs, encode: Encode) -> WindowCondition:
        """See WindowMode; the first window pins the reference itself."""
        picture = self._encoded(known, encode)
        # The VAE is causal: the first latent of the padded picture is the latent of the picture alone.
        motion = picture[:, :, :1] if known.motion_FHWC is None else encode(known.motion_FHWC)
        pin = Pin(motion, noised=False)
        return WindowCondition(picture, 1, pin, known.reference_HWC, known.known_at_end)

    def _encoded(self, known: WindowInputs, encode: Encode) -> torch.Tensor:
        clip = PictureClip(known.reference_HWC, known.window_frames, known.ending)
        if known.ending is not None:  # one window of a run
            return self._recall(clip, encode)
        if self._picture_BCTHW is None or self._reference_HWC is not known.reference_HWC:
            self._picture_BCTHW = self._recall(clip, encode)
            self._reference_HWC = known.reference_HWC
        return self._picture_BCTHW


class MultiTalkMode:
    """The motion frames themselves condition each later window and are pinned with noise.

    Args:
        recall: gives the latents of the first window's picture.
    """

    sees_reference: ClassVar[bool] = False

    def __init__(self, recall: RecallPicture = encode_now) -> None:
        self._recall = recall

    def condition(self, known: WindowInputs, encode: Encode) -> WindowCondition:
        """See WindowMode; the first window pins nothing, and CLIP sees the last frame that exists."""
        begins = known.motion_FHWC is None
        frames_FHWC = known.reference_HWC[None] if known.motion_FHWC is None else known.motion_FHWC
        if begins:
            clip = PictureClip(known.reference_HWC, known.window_frames, known.ending)
            picture = self._recall(clip, encode)
        else:
            picture = encode(padded_with_grey(frames_FHWC, known.window_frames, known.ending))
        known_latents = latent_frames(len(frames_FHWC))
        pin = None if begins else Pin(picture[:, :, :known_latents], noised=True)
        # A copy: whoever remembers what CLIP saw would keep all motion frames with it.
        clip_frame_HWC = known.reference_HWC if begins else frames_FHWC[-1].clone()
        return WindowCondition(picture, known_latents, pin, clip_frame_HWC, known.known_at_end)


class SkyReelsMode(MultiTalkMode):
    """As MultiTalk's, but CLIP sees the first of the motion frames."""

    def condition(self, known: WindowInputs, encode: Encode) -> WindowCondition:
        """See WindowMode."""
        condition = super().condition(known, encode)
        if known.motion_FHWC is None:
            return condition
        return replace(condition, clip_frame_HWC=known.motion_FHWC[0].clone())


class MakeMode(Protocol):
    """Makes the mode of a run."""

    def __call__(self, recall: RecallPicture = encode_now) -> WindowMode:
        """The mode; `recall` gives the latents of pictures."""
        ...


MODES: dict[TalkMode, MakeMode] = {
    "infinitetalk": InfiniteTalkMode,
    "multitalk": MultiTalkMode,
    "flashtalk": InfiniteTalkMode,
    "skyreels": SkyReelsMode,
}
"""How the windows of each mode are conditioned; all else that FlashTalk and SkyReels do otherwise comes with
their schedules."""
