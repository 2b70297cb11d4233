"""What the windows of a run see: pictures, or a clip that is dubbed.

Shape letters: B batch, H and W pixels, C channels.
"""

from dataclasses import dataclass

import torch
from comfy.utils import common_upscale

from ....multitalk.common.errors import InputError
from ....multitalk.common.size_buckets import cover_crop
from ....multitalk.common.types import FPS
from ....multitalk.dubbing.clip import Dub, DubSource
from ....multitalk.windows.camera import CameraMove
from ....multitalk.windows.finish import LookSettings
from ....multitalk.windows.picture import checked_picture
from ....multitalk.windows.prompt_timeline import Keyframe, PromptTimeline
from ....multitalk.windows.references import Reference, moving_reference, still_reference
from ....multitalk.windows.settings import FrameSize
from ..report.progress import show_on_node


@dataclass(frozen=True, slots=True)
class FirstPicture:
    """The picture that decides the video's shape: the start picture, or the frame that a clip begins on.

    Attributes:
        pixels_HWC: 0..1, at its own size; looked through once, and not again.
        notes: what was not as expected, a sentence each.
    """

    pixels_HWC: torch.Tensor
    notes: tuple[str, ...] = ()


SHOWN_CUTS = 20
"""Of a clip's cuts in a sentence: a film has thousands."""


@dataclass(frozen=True, slots=True)
class RunPictures:
    """What a run's windows see, as far as that is decided before it starts.

    Attributes:
        reference: each window's picture; None where a clip gives them, which is opened when the run starts.
        notes: what was not as expected, a sentence each.
        end_HWC: the picture that the video ends on, or None.
    """

    reference: Reference | None
    notes: tuple[str, ...]
    end_HWC: torch.Tensor | None = None


def first_picture(start_image_BHWC: object, source: DubSource | None) -> FirstPicture:
    """The picture that decides the video's shape.

    Raises:
        InputError: there is neither a start picture nor a clip, or it is not a picture.
    """
    if source is not None:
        unused = "start_image is not used: every window's picture is the source's own"
        return FirstPicture(source.first_picture(), () if start_image_BHWC is None else (unused,))
    if start_image_BHWC is None:
        raise InputError(
            "start_image: nothing is connected, and no source either, but windows need a picture. Connect "
            "Load Image to start_image, or EverTalk Video Source to source."
        )
    return FirstPicture(*checked_picture(start_image_BHWC))


def run_pictures(
    first: FirstPicture,
    source: DubSource | None,
    cues: PromptTimeline,
    look: LookSettings,
    size: FrameSize,
    video_frames: int,
) -> RunPictures:
    """What the windows see, of a picture (or several, or a camera over it) or of a clip.

    Raises:
        InputError: pictures would have to move over a clip, or the last one is not a picture.
    """
    if source is None:
        reference = reference_of(first, cues.pictures, size, look.camera, video_frames)
        if cues.end_BHWC is None:
            return RunPictures(reference, ())
        end_HWC, notes = checked_picture(cues.end_BHWC, "end_image")
        return RunPictures(reference, notes, fit_picture(end_HWC, size))
    brings_pictures = bool(cues.pictures) or cues.end_BHWC is not None
    for name, given in (("schedule", brings_pictures), ("look", not look.camera.is_still)):
        if given:
            raise InputError(
                f"{name}: it brings pictures or a camera move of its own, but with a source every window's "
                "picture is the clip's. Take them out, or disconnect the source."
            )
    return RunPictures(None, (*scene_notes(source, video_frames), *source.notes(video_frames)))


def reference_of(
    first: FirstPicture,
    scheduled: tuple[Keyframe[torch.Tensor], ...],
    size: FrameSize,
    move: CameraMove,
    video_frames: int,
) -> Reference:
    """Each window's picture.

    Raises:
        InputError: a scheduled picture is not a picture.
    """
    pictures = tuple(
        Keyframe(cue.start_s, checked_picture(cue.value[None], "schedule")[0]) for cue in scheduled
    ) or (Keyframe(0.0, first.pixels_HWC),)
    if not move.is_still:
        return moving_reference(pictures, size, move, video_frames / FPS)
    return still_reference(tuple(Keyframe(cue.start_s, fit_picture(cue.value, size)) for cue in pictures))


def fit_picture(picture_HWC: torch.Tensor, size: FrameSize) -> torch.Tensor:
    """A picture (H, W, 3), resized to cover the video's size and cut at the centre."""
    if picture_HWC.shape[:2] != (size.height_px, size.width_px):
        # Scaled, then cut, as the speakers' masks are: the host's own centre crop cuts first, by whole pixels
        # of the picture, which in an enlarged one are several of the video.
        height_px, width_px = picture_HWC.shape[:2]
        crop = cover_crop(height_px, width_px, size.height_px, size.width_px)
        pixels = picture_HWC.movedim(-1, 0)[None]
        scaled = common_upscale(pixels, crop.scaled_width_px, crop.scaled_height_px, "lanczos", "disabled")
        fitted = scaled[0].movedim(0, -1)[crop.top_px :, crop.left_px :]
        picture_HWC = fitted[: size.height_px, : size.width_px]
    return picture_HWC.contiguous()


def opened(source: DubSource, size: FrameSize) -> Dub:
    """A clip as one run plays it, at the video's size; its file is opened here."""
    return Dub(source, size, lambda frame_HWC: fit_picture(frame_HWC, size), show_on_node)


def scene_notes(source: DubSource, video_frames: int) -> tuple[str, ...]:
    """Says where windows begin afresh."""
    times = [f"{cut / FPS:.2f}" for cut in source.cuts if cut < video_frames]
    if len(times) > SHOWN_CUTS:
        times[SHOWN_CUTS - 1 : -1] = ["..."]
    return (
        (f"source: another scene begins at {', '.join(times)} s: windows begin afresh there",)
        if times
        else ()
    )
