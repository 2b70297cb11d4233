"""From sounds and places, as people give them, to speakers on the video's timeline.

Speakers are called A, B, C, D. Everybody up to the last one who has a voice, a mask or a box is there: who
lacks a voice is silent.

Shape letters: F frames of a mask that moves, H and W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch

from ..common.errors import InputError
from ..common.mask_places import INSIDE, SPEAKER_NAMES, Box, Place, parse_box
from ..common.types import Speakers, Waveform
from ..speech.active_pair import voices_note
from ..speech.waveform import FULL_SCALE, peak_of, video_frames_of
from .timeline import TimelineEntry, mute_outside, parse_timeline
from .voice_mix import VoiceOrder, arrange_voices, in_one_format, mix_voices


class Arrangement(Enum):
    """Who speaks when: all together, one after the other, or one sound shared by a timeline."""

    PARA = "para"
    ADD = "add"
    TIMELINE = "timeline"


@dataclass(frozen=True, slots=True)
class SpeakerInputs:
    """What a person gave, by speaker; None where nothing is connected.

    Attributes:
        audios: a sound for each of SPEAKER_NAMES, checked.
        masks: a MASK for each of SPEAKER_NAMES, (frames, H, W).
        arrangement: who speaks when.
        timeline: for Arrangement.TIMELINE, see timeline.py.
        boxes: one for each speaker, instead of masks, separated by `;` or line breaks.
    """

    audios: tuple[Waveform | None, ...]
    masks: tuple[torch.Tensor | None, ...]
    arrangement: Arrangement = Arrangement.PARA
    timeline: str = ""
    boxes: str = ""


def make_speakers(given: SpeakerInputs) -> Speakers:
    """Read everything that was given, and put the voices on the video's timeline.

    Raises:
        InputError: names the socket: no sound, several sounds beside a timeline, a timeline or boxes that
            cannot be read, or places and speakers that differ in number.
    """
    places = _boxes(given.boxes) if given.boxes.strip() else _masks(given.masks)
    if given.boxes.strip() and any(mask is not None for mask in given.masks):
        raise InputError(
            "boxes: there are boxes and masks, and they may contradict; empty boxes, or disconnect the masks"
        )
    if given.arrangement is Arrangement.TIMELINE:
        voices, sound, notes = _timed(given, len(places))
    else:
        voices, sound, notes = _arranged(given, len(places))
    names = SPEAKER_NAMES[: len(voices)]
    _check_places(places, names, boxes=bool(given.boxes.strip()))
    known = tuple(place for place in places if place is not None)
    if len(voices) == 1 and known:
        known = ()
        notes = (*notes, "There is one speaker, who moves wherever they are: the mask or box is not used.")
    if len(voices) == 2 and not known:
        notes = (*notes, "No masks and no boxes: A is the left half of the picture, B the right half.")
    beyond = voices_note(len(voices))
    moving = _moving_notes(known, video_frames_of(sound))
    heard = [note for audio in given.audios if audio is not None for note in audio.notes]
    return Speakers(names, voices, sound, known, (*heard, *notes, *moving, *([beyond] if beyond else [])))


Voices = tuple[tuple[Waveform, ...], Waveform, tuple[str, ...]]
"""A track a speaker, the sound of the video, and sentences for the user."""


def _arranged(given: SpeakerInputs, num_places: int) -> Voices:
    """Sounds that start together or follow one another."""
    people = max(_last(given.audios), num_places)
    present = [audio for audio in given.audios if audio is not None]
    if not present:
        raise InputError("audio_a: nobody has a voice; connect Load Audio to audio_a, audio_b, ...")
    formatted = iter(in_one_format(present))
    sounds = [None if audio is None else next(formatted) for audio in given.audios[:people]]
    order: VoiceOrder = "para" if given.arrangement is Arrangement.PARA else "add"
    voices = arrange_voices(sounds, order)
    notes = _silent_notes([index for index, sound in enumerate(sounds) if sound is None])
    if given.timeline.strip():
        notes.append(f"timeline is not used: arrangement is {order}.")
    if len(present) == 1:
        return voices, present[0], tuple(notes)
    mix = mix_voices(voices)
    peak = peak_of(mix.samples_CT)
    if peak > FULL_SCALE:
        notes.append(
            f"The voices together reach {peak:.2f} times full scale and will be cut off in the video; make "
            "the recordings quieter if you hear it."
        )
    return voices, mix, tuple(notes)


def _timed(given: SpeakerInputs, num_places: int) -> Voices:
    """One sound, cut up by a timeline; the video keeps it as it is."""
    present = [audio for audio in given.audios if audio is not None]
    if len(present) != 1:
        raise InputError(
            f"timeline: {len(present)} sounds are connected, but a timeline divides exactly one; connect it "
            "to audio_a alone, or choose the arrangement para or add"
        )
    sound = present[0]
    entries = parse_timeline(given.timeline, SPEAKER_NAMES, sound.duration_s, "timeline")
    people = max(num_places, *(entry.speakers[-1] + 1 for entry in entries))
    voices = tuple(mute_outside(sound, entries, speaker) for speaker in range(people))
    return voices, sound, tuple(_silent_notes([who for who in range(people) if not _named(who, entries)]))


def _named(speaker: int, entries: Sequence[TimelineEntry]) -> bool:
    return any(speaker in entry.speakers for entry in entries)


def _silent_notes(silent: Sequence[int]) -> list[str]:
    return [f"Speaker {SPEAKER_NAMES[index]} has no voice and stays silent." for index in silent]


def _last(values: Sequence[object]) -> int:
    """How many values there are up to the last that is not None."""
    return max((number for number, value in enumerate(values, start=1) if value is not None), default=0)


def _boxes(text: str) -> tuple[Box, ...]:
    pieces = [piece for piece in text.replace("\n", ";").split(";") if piece.strip()]
    if len(pieces) > len(SPEAKER_NAMES):
        raise InputError(f"boxes: there are {len(pieces)}, expected at most {len(SPEAKER_NAMES)}; drop some")
    return tuple(
        parse_box(piece.strip(), f"boxes: speaker {name}")
        for name, piece in zip(SPEAKER_NAMES, pieces, strict=False)
    )


def _masks(masks: Sequence[torch.Tensor | None]) -> tuple[Place | None, ...]:
    """The masks up to the last one that is given: still ones (H, W), moving ones (F, H, W)."""
    places: list[Place | None] = []
    for name, mask in zip(SPEAKER_NAMES, masks[: _last(masks)], strict=False):
        socket = f"mask_{name.lower()}"
        if mask is None:
            places.append(None)
            continue
        if mask.ndim not in {2, 3} or not mask.numel():
            raise InputError(
                f"{socket}: got values of shape {tuple(mask.shape)}, expected a MASK (frames, height, "
                "width); connect the mask of Load Image, or of a node that makes masks"
            )
        if not (mask >= INSIDE).any():
            raise InputError(
                f"{socket}: it is empty ({mask.shape[-1]}x{mask.shape[-2]}, nothing inside); paint the "
                "person in the mask editor. Load Image gives an empty mask of 64x64 for a picture without one"
            )
        places.append(mask[0] if mask.ndim == 3 and len(mask) == 1 else mask)
    return tuple(places)


def _check_places(places: Sequence[Place | None], names: Sequence[str], *, boxes: bool) -> None:
    """Refuse places for some of the speakers only, and more than two speakers without any."""
    missing = [name for name, place in zip(names, places, strict=False) if place is None]
    missing += names[len(places) :]
    if boxes and missing:
        raise InputError(
            f"boxes: {len(names)} voices ({', '.join(names)}) came with {len(places)} boxes; give one box "
            "for each, separated by ;"
        )
    if missing and (len(missing) < len(names) or len(names) > 2):
        given = len(names) - len(missing)
        sockets = ", ".join(f"mask_{name.lower()}" for name in missing)
        raise InputError(
            f"{sockets}: {len(names)} voices ({', '.join(names)}) came with {given} masks; connect {sockets} "
            "too, or give each speaker a box"
        )


def _moving_notes(places: Sequence[Place], video_frames: int) -> list[str]:
    return [
        f"The mask of speaker {name} moves for {len(place)} frames, the video has {video_frames}; the mask's "
        "last frame stays."
        for name, place in zip(SPEAKER_NAMES, places, strict=False)
        if isinstance(place, torch.Tensor) and place.ndim == 3 and len(place) < video_frames
    ]
