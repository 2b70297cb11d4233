"""A clip that is given other speech: what each window sees of it, and what is kept of it.

Shape letters: F video frames, H and W pixels, C channels.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from ..common.errors import InputError
from ..common.types import FPS
from ..media.frame_reader import FrameReader
from ..media.frame_shape import SQUARE
from ..windows.plan import Window
from ..windows.settings import FrameSize
from .box_text import parse_boxes
from .crop import PixelBox, cut_out
from .cuts import cut_frames
from .paste import TAIL_FRAMES, Paster, resized
from .region import Region, covering, drift_outside, feathered, lay_over, mask_number, match_outside
from .source import SourceVideo
from .work_region import RegionView, WorkRegion

LOG = logging.getLogger("evertalk")

Fit = Callable[[torch.Tensor], torch.Tensor]
"""A frame (H, W, 3) of the clip -> at the video's size."""


@dataclass(frozen=True, slots=True)
class DubSource:
    """The clip and what is to be done with it.

    Attributes:
        video: the clip.
        start_s: where in the clip the video begins.
        cuts_s: times in the clip at which another scene begins; rising.
        denoise: 1: windows are new, made from one frame of the clip each; below 1: every frame of the clip
            is made over, the less the lower.
        region: what may change, or None: everything.
        work: the part that alone is made to talk and goes back into the clip; None: the whole picture.
    """

    video: SourceVideo
    start_s: float = 0.0
    cuts_s: tuple[float, ...] = ()
    denoise: float = 1.0
    region: Region | None = None
    work: WorkRegion | None = None

    def __post_init__(self) -> None:
        assert self.start_s >= 0, "a clip begins at 0"
        if not 0 < self.denoise <= 1:
            raise InputError(
                f"denoise: {self.denoise:g}, expected more than 0, up to 1. Use 1 for new windows."
            )
        if self.start_s and self.start_s >= self.video.duration_s:
            raise InputError(
                f"start_s: {self.start_s:g} s, but {self.video.name} lasts {self.video.duration_s:.2f} s. "
                "Choose an earlier start."
            )

    def __str__(self) -> str:
        video = self.video
        sound = "with sound" if video.has_sound else "without sound"
        cuts = f", {len(self.cuts)} scene cuts" if self.cuts_s else ""
        return (
            f"{video.name}: {video.duration_s:.2f} s, {video.width_px}x{video.height_px}, {video.fps:.5g} "
            f"frames a second, {sound}{cuts}"
        )

    @property
    def is_dense(self) -> bool:
        """Whether all frames of the clip are made over."""
        return self.denoise < 1

    @property
    def cuts(self) -> tuple[int, ...]:
        """The video's frames at which another scene begins."""
        return cut_frames(self.cuts_s, self.start_s)

    def with_cuts(self, cuts_s: tuple[float, ...]) -> "DubSource":
        """The source with the cuts that were found in its clip."""
        work = None if self.work is None else replace(self.work, cuts_s=cuts_s)
        return replace(self, cuts_s=cuts_s, work=work)

    def paster(self, size: FrameSize, made_frames: int) -> Paster | None:
        """What puts windows back into the clip, where a region alone is worked on.

        Args:
            size: at which the region is made.
            made_frames: how many frames the windows make together.
        """
        if self.work is None:
            return None
        return Paster(self.video, RegionView(self.work, size), self.start_s, made_frames)

    def first_picture(self) -> torch.Tensor:
        """What the first window sees (H, W, 3), 0..1, before it gets the video's shape."""
        frame_HWC = self.first_frame()
        return frame_HWC if self.work is None else cut_out(frame_HWC, self.work.natural_box(self.start_s))

    def first_frame(self) -> torch.Tensor:
        """The frame (H, W, 3), 0..1, that the video begins on, at the clip's own size."""
        with closing(self.video.reader()) as reader:
            return reader.frame_at(self.start_s)

    def notes(self, video_frames: int) -> tuple[str, ...]:
        """Sentences about odd pixels, a clip that is shorter than the video, and too few masks."""
        notes: list[str] = []
        video, pixel = self.video, self.video.pixel
        if pixel != SQUARE:
            notes.append(
                f"source: the pixels of {video.name} are not square ({pixel.numerator}:{pixel.denominator}); "
                f"its frames are stretched to {video.width_px}x{video.height_px}, as players show them"
            )
        if self.work is not None and (video.width_px | video.height_px) & 1:
            notes.append(
                f"source: {video.name} has {video.width_px}x{video.height_px} pixels, and videos have even "
                "numbers of them: its last row or column is left out"
            )
        length_s, needed_s = self.video.duration_s - self.start_s, video_frames / FPS
        if length_s < needed_s - 1 / FPS:
            notes.append(
                f"source: {length_s:.2f} s of clip for {needed_s:.2f} s of speech; its last frame stays to "
                "the end"
            )
        if self.work is not None and length_s > needed_s + TAIL_FRAMES / FPS:
            notes.append(
                f"source: {needed_s:.2f} s of speech for {length_s:.2f} s of clip; the video ends with the "
                "speech"
            )
        region = self.region if self.work is None else self.work.where
        masks = len(region.masks_NHW) if isinstance(region, Region) else 1
        end_s = self.start_s + min(length_s, needed_s)
        if masks > 1 and masks < int(end_s * self.video.fps):
            notes.append(
                f"region: {masks} masks for the {int(end_s * self.video.fps)} frames of the clip that are "
                "used; the last one stays to the end"
            )
        return tuple(notes)


def worked_on(
    source: DubSource, boxes: str, context: float, feather_px: int, *, is_region: bool
) -> DubSource:
    """The source with its region as what is made to talk, or as what may change of the whole picture.

    Args:
        source: the clip and its mask, if there is one.
        boxes: a box with keyframes, see box_text; empty: there is none.
        context: see crop.with_context.
        feather_px: width of the region's soft edge.
        is_region: whether the region alone is made to talk.

    Raises:
        InputError: there is no region, or two, or one that leaves the picture; or a box without an effect; or
            the clip cannot be read any more.
    """
    if not is_region:
        if boxes.strip():
            raise InputError(
                "region_box: a box is given, but work_on is 'whole picture', which has no use for it. Choose "
                "'region', or empty the box."
            )
        return source
    if (source.region is None) == (not boxes.strip()):
        given = "neither a mask nor a box says" if source.region is None else "a mask and a box both say"
        raise InputError(
            f"work_on: 'region', but {given} where it is. Connect a mask to region, or write region_box, one "
            "of the two."
        )
    where = source.region or parse_boxes(boxes)
    video = source.video
    work = WorkRegion(
        where,
        FrameSize(video.height_px, video.width_px),
        video.times(),
        feather_px,
        context,
    )
    work.track.at(source.start_s)  # a box that leaves the picture is refused here
    return replace(source, region=None, work=work)


class Edge(NamedTuple):
    """A mask with its soft edge, at the video's size, and which one it is."""

    number: int
    alpha_HW: torch.Tensor


class SeenFrame(NamedTuple):
    """A frame of the clip at the video's size (H, W, 3), with its time in the file and what was cut out."""

    pts: int
    box: PixelBox | None
    frame_HWC: torch.Tensor


class Dub:
    """A clip as one run plays it. Reads forward with the windows; holds no more than a frame.

    Args:
        source: the clip.
        size: of the video.
        fit: how its frames are brought to that size.
        say: told a sentence for each window whose region was locked.
    """

    def __init__(
        self, source: DubSource, size: FrameSize, fit: Fit, say: Callable[[str], None] = LOG.info
    ) -> None:
        self.source = source
        self.view = None if source.work is None else RegionView(source.work, size)
        self._size = size
        self._fit = fit
        self._say = say
        self._reader: FrameReader = source.video.reader()
        self._edge: Edge | None = None
        self._last: SeenFrame | None = None
        """A clip of fewer frames a second than the video shows each more than once."""
        self._scene_HWC: torch.Tensor | None = None

    def reference(self, window: Window) -> torch.Tensor:
        """The clip's frame (H, W, 3) at the window's start."""
        frame_HWC = self._seen(self._time_s(window, 0))
        if window.motion == 0:
            self._scene_HWC = frame_HWC
        return frame_HWC

    def close(self) -> None:
        """Close the clip."""
        self._reader.close()

    def begin_at(self, windows: Sequence[Window], first: int) -> None:
        """Get ready to play from a window on: its scene is the one that began last."""
        if first < len(windows):
            self.reference(next(window for window in windows[first::-1] if window.motion == 0))

    def scene_picture(self) -> torch.Tensor:
        """The first reference of the scene that plays now; `reference` was asked for it."""
        assert self._scene_HWC is not None, "a scene begins with its reference"
        return self._scene_HWC

    def frames(self, window: Window, count: int) -> Iterator[torch.Tensor]:
        """The clip's frames (H, W, 3) of the first `count` frames of a window, at the video's rate.

        After the last frame that the window gives, that one stays: what comes then may be another scene.
        """
        return (self._seen(self._time_s(window, number)) for number in range(count))

    def start(self, window: Window) -> torch.Tensor:
        """The clip's frames (F, H, W, 3) of a window, to be made over."""
        frames_FHWC = torch.empty(window.frames, self._size.height_px, self._size.width_px, 3)
        for number, frame_HWC in enumerate(self.frames(window, window.frames)):
            frames_FHWC[number] = frame_HWC
        return frames_FHWC

    def finish(self, window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """Put the clip back outside the region, in place: a second window of frames may not fit into memory.

        Says how far the frames had come from the clip there.
        """
        if self.source.region is None and self.view is None:
            return frames_FHWC
        drifts: list[float] = []
        for number, frame_HWC in enumerate(self.frames(window, window.skipped + window.new)):
            made_HWC = frames_FHWC[number]
            source_HWC = frame_HWC.to(made_HWC)
            alpha_HW = self._alpha(self._time_s(window, number)).to(made_HWC)
            drift = drift_outside(source_HWC, made_HWC, alpha_HW)
            drifts += [] if drift is None else [drift]
            if self.view is not None:
                made_HWC = match_outside(source_HWC, made_HWC, alpha_HW)
            frames_FHWC[number] = lay_over(source_HWC, made_HWC, alpha_HW)
        if drifts:
            self._say(
                f"window {window.index + 1}: the model had changed the picture outside the region by "
                f"{sum(drifts) / len(drifts):.4f} on average (of 1); the clip was put back there"
            )
        return frames_FHWC

    def _time_s(self, window: Window, number: int) -> float:
        # Frames that lead in to a scene see its first one: those before it are another scene, or none.
        frame = min(window.start + max(number, window.lead), window.end - 1)
        return self.source.start_s + frame / FPS

    def _seen(self, time_s: float) -> torch.Tensor:
        shown = self._reader.shown_at(time_s)
        box = None if self.view is None else self.view.box_at(time_s)
        if self._last is None or self._last[:2] != (shown.pts, box):
            frame_HWC = self._reader.seen(shown)
            if self.view is not None and box is not None:
                clip = self.view.work.clip
                frame_HWC = cut_out(resized(frame_HWC, clip.height_px, clip.width_px), box)
            self._last = SeenFrame(shown.pts, box, self._fit(frame_HWC))
        return self._last.frame_HWC

    def _alpha(self, time_s: float) -> torch.Tensor:
        if self.view is not None:
            return self.view.alpha_at(time_s)
        region = self.source.region
        assert region is not None, "finish asks where there is one"
        number = mask_number(region, time_s, self.source.video.fps)
        if self._edge is None or self._edge.number != number:
            clip = FrameSize(self.source.video.height_px, self.source.video.width_px)
            mask_HW = covering(region.masks_NHW[number], clip, self._size)
            self._edge = Edge(number, feathered(mask_HW, region.feather_px))
        return self._edge.alpha_HW
