"""The masks of all speakers at one moment of the video, whatever their places were given as.

Shape letters: S speakers, F frames of a mask that moves, H and W pixels.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import torch

from ..common.mask_places import INSIDE, SPEAKER_NAMES, Box, Place, default_masks, fit_masks, masks_of_boxes
from ..common.size_buckets import Size, cover_crop

NUMBER = re.compile(r"\d+")


def masks_at(
    places: Sequence[Place], speakers: int, picture: Size, frames: Sequence[int]
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """One mask a speaker over the picture.

    Args:
        places: one a speaker, or none for the usual ones.
        speakers: how many.
        picture: size of the picture that the places are given over.
        frames: which frame of each place counts; 0 where it does not move.

    Returns:
        (S, H, W) float32 of 0 and 1, and a sentence for each mask that was resized.

    Raises:
        InputError: a box covers no pixel, or more than two speakers have no places.
    """
    if not places:
        return default_masks(speakers, *picture), ()
    boxes = [place for place in places if isinstance(place, Box)]
    if boxes:
        assert len(boxes) == len(places), "either all boxes or all masks"
        return masks_of_boxes(boxes, *picture), ()
    masks = [place for place in places if isinstance(place, torch.Tensor)]
    stills = [
        mask if mask.ndim == 2 else mask[min(frame, len(mask) - 1)]
        for mask, frame in zip(masks, frames, strict=True)
    ]
    return fit_masks(stills, *picture)


def frames_at(
    places: Sequence[Place], picture: Size, video: Size, frame: int
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Which frame of each place stands for a frame of the video: past a mask's end its last.

    Where a moving mask shows nobody (a tracker lost the person, or the cut to the video's size did), it is
    the nearest frame that does, of equals the earlier one, with a sentence that says so; the very frame, if
    none does.
    """
    chosen: list[int] = []
    notes: list[str] = []
    for name, place in zip(SPEAKER_NAMES[: len(places)], places, strict=True):
        if isinstance(place, Box) or place.ndim == 2:
            chosen.append(0)
            continue
        asked = min(frame, len(place) - 1)
        rows, columns = _seen(picture, video, Size(*place.shape[1:]))
        used = next(
            (near for near in _outward(asked, len(place)) if (place[near, rows, columns] >= INSIDE).any()),
            asked,
        )
        chosen.append(used)
        if used != asked:
            notes.append(f"The mask of speaker {name} shows nobody at frame {asked}; frame {used} is used.")
    return tuple(chosen), tuple(notes)


def one_of_a_kind(notes: Iterable[str]) -> tuple[str, ...]:
    """The notes without those that differ from an earlier one by their numbers only."""
    first: dict[str, str] = {}
    for note in notes:
        first.setdefault(NUMBER.sub("", note), note)
    return tuple(first.values())


def canvas_of(places: Sequence[Place]) -> Size:
    """A picture size for places whose picture is not known: the first mask's, or one that holds all boxes."""
    for place in places:
        if isinstance(place, torch.Tensor):
            return Size(*place.shape[-2:])
    boxes = [place for place in places if isinstance(place, Box) and not place.percent]
    height = max((box.y + box.height for box in boxes), default=0)
    width = max((box.x + box.width for box in boxes), default=0)
    return Size(max(int(height), CANVAS.height_px), max(int(width), CANVAS.width_px))


CANVAS = Size(480, 832)
"""Stands for a picture that is not known."""


def _outward(middle: int, count: int) -> Iterator[int]:
    """The numbers below `count` by their distance from `middle`, of equals the lower first."""
    yield middle
    for distance in range(1, count):
        if middle - distance >= 0:
            yield middle - distance
        if middle + distance < count:
            yield middle + distance


def _seen(picture: Size, video: Size, mask: Size) -> tuple[slice, slice]:
    """The rows and columns of a mask over the picture that the cut to the video's size keeps."""
    crop = cover_crop(*picture, *video)
    return (
        _share(crop.top_px, crop.height_px, crop.scaled_height_px, mask.height_px),
        _share(crop.left_px, crop.width_px, crop.scaled_width_px, mask.width_px),
    )


def _share(start: int, length: int, whole: int, count: int) -> slice:
    first = start * count // whole
    return slice(first, max(first + 1, (start + length) * count // whole))
