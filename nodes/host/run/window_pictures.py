"""What the windows of a run see: pictures, or a clip that is dubbed.

Shape letters: B batch, H and W pixels, C channels.
"""

from dataclasses import dataclass

import torch

from ....multitalk.common.errors import InputError
from ....multitalk.common.types import FPS
from ....multitalk.dubbing.clip import Dub, DubSource
from ....multitalk.windows.camera import CameraMove
from ....multitalk.windows.finish import LookSettings
from ....multitalk.windows.picture import checked_picture
from ....multitalk.windows.prompt_timeline import Keyframe, PromptTimeline
from ....multitalk.windows.references import Reference, moving_reference, still_reference
from ....multitalk.windows.settings import FrameSize
from ..report.progress import show_on_node
from .windowed_run import fit_picture

SHOWN_CUTS = 20
"""Of a clip's cuts in a sentence: a film has thousands."""


@dataclass(frozen=True, slots=True)
class RunPictures:
    """What a run's windows see.

    Attributes:
        reference: each window's picture.
        dub: the clip that is dubbed, or None.
        notes: what was not as expected, a sentence each.
        end_HWC: the picture that the video ends on, or None.
    """

    reference: Reference
    dub: Dub | None
    notes: tuple[str, ...]
    end_HWC: torch.Tensor | None = None

    @property
    def cuts(self) -> tuple[int, ...]:
        """The video's frames at which another scene begins."""
        return () if self.dub is None else self.dub.source.cuts


def first_picture(start_image_BHWC: object, source: DubSource | None) -> object:
    """The IMAGE that decides the video's shape: the start picture, or the frame that a clip begins on.

    Raises:
        InputError: there is neither.
    """
    if source is not None:
        return source.first_frame()[None]
    if start_image_BHWC is None:
        raise InputError(
            "start_image: nothing is connected, and no source either, but windows need a picture. Connect "
            "Load Image to start_image, or EverTalk Video Source to source."
        )
    return start_image_BHWC


def picture_notes(start_image_BHWC: object, source: DubSource | None) -> tuple[str, ...]:
    """Says that a start picture beside a clip is not used."""
    if source is None or start_image_BHWC is None:
        return ()
    return ("start_image is not used: every window's picture is the source's own",)


def run_pictures(
    start_image_BHWC: torch.Tensor,
    source: DubSource | None,
    cues: PromptTimeline,
    look: LookSettings,
    size: FrameSize,
    video_frames: int,
) -> RunPictures:
    """What the windows see, of a picture (or several, or a camera over it) or of a clip.

    Raises:
        InputError: the start picture is not a picture, or pictures would have to move over a clip.
    """
    if source is None:
        reference = reference_of(start_image_BHWC, cues.pictures, size, look.camera, video_frames)
        if cues.end_BHWC is None:
            return RunPictures(reference, None, ())
        end_HWC, notes = fit_picture(cues.end_BHWC, size, "end_image")
        return RunPictures(reference, None, notes, end_HWC)
    brings_pictures = bool(cues.pictures) or cues.end_BHWC is not None
    for name, given in (("schedule", brings_pictures), ("look", not look.camera.is_still)):
        if given:
            raise InputError(
                f"{name}: it brings pictures or a camera move of its own, but with a source every window's "
                "picture is the clip's. Take them out, or disconnect the source."
            )
    dub = Dub(source, size, lambda frame_HWC: fit_picture(frame_HWC[None], size)[0], show_on_node)
    return RunPictures(dub.reference, dub, (*scene_notes(source, video_frames), *source.notes(video_frames)))


def reference_of(
    start_image_BHWC: torch.Tensor,
    scheduled: tuple[Keyframe[torch.Tensor], ...],
    size: FrameSize,
    move: CameraMove,
    video_frames: int,
) -> Reference:
    """Each window's picture.

    Raises:
        InputError: the start picture is not a picture.
    """
    picture_HWC, _ = checked_picture(start_image_BHWC)
    pictures = scheduled or (Keyframe(0.0, picture_HWC),)
    if not move.is_still:
        return moving_reference(pictures, size, move, video_frames / FPS)
    fitted = tuple(Keyframe(cue.start_s, fit_picture(cue.value[None], size)[0]) for cue in pictures)
    return still_reference(fitted)


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
