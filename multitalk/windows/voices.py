"""Who is heard in a window, and where they are.

Shape letters: S voices of the window, F video frames, K encoder frames around a frame, L encoder layers, C
channels, M masks, P tokens of a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..common.size_buckets import Size
from ..common.tensor_file import drop_page_cache
from ..common.types import AudioEmbeds
from ..speakers.masks import SpeakerMasks, make_speaker_masks
from ..speakers.places import frames_at, masks_at, one_of_a_kind
from ..speech.active_pair import PAIR, active_pair
from .audio_frames import window_of_frames
from .loop import WindowVoices
from .plan import Window


@dataclass(frozen=True, slots=True)
class VoicePlan:
    """The voices of any window of a run.

    With two people in the picture there are always two voices: the silent one's encoded silence keeps a
    face still, while a lone voice would move both. Of three and four, the two that speak most in a window
    are heard; the others belong to the background.

    Attributes:
        embeds: the speech.
        picture: size of the picture that the speakers' places are given over.
        video: size of the video.
        made: masks by the frames of the places that they were made of; one entry unless masks move.
    """

    embeds: AudioEmbeds
    picture: Size
    video: Size
    made: dict[tuple[int, ...], SpeakerMasks] = field(default_factory=dict[tuple[int, ...], SpeakerMasks])

    def __call__(self, window: Window) -> WindowVoices:
        """The voices of a window.

        Raises:
            InputError: a place that is empty, or lies wholly outside of what the video shows.
        """
        speakers = len(self.embeds.tracks_NLC)
        heard = self.heard(window)
        tracks = [self.embeds.tracks_NLC[speaker] for speaker in heard]
        audio_SFKLC = torch.stack([window_of_frames(track, window.start, window.frames) for track in tracks])
        drop_page_cache()
        if speakers == 1:
            return WindowVoices(audio_SFKLC)
        masks = self.masks(self.frames(window))
        if speakers > PAIR:
            masks = masks.of_speakers(heard)
        return WindowVoices(audio_SFKLC, masks.token_MK)

    def heard(self, window: Window) -> tuple[int, ...]:
        """Indices of the speakers who are heard in a window."""
        speakers = len(self.embeds.tracks_NLC)
        if speakers <= PAIR:
            return tuple(range(speakers))
        assert self.embeds.activity_SF is not None, "who speaks when decides between more than two"
        return active_pair(self.embeds.activity_SF, range(window.start, window.start + window.frames))

    def frames(self, window: Window) -> tuple[int, ...]:
        """Which frame of each speaker's place counts: the map is made of a window's first latent frame."""
        return frames_at(self.embeds.places, self.picture, self.video, window.start)[0]

    def masks(self, frames: tuple[int, ...]) -> SpeakerMasks:
        """The masks of all speakers for these frames of their places."""
        if frames not in self.made:
            speakers = len(self.embeds.tracks_NLC)
            masks_SHW, _ = masks_at(self.embeds.places, speakers, self.picture, frames)
            self.made[frames] = make_speaker_masks(masks_SHW, speakers, *self.video)
        return self.made[frames]

    def notes(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Looks at the places in all windows; what the user has to know of them, each kind once.

        Raises:
            InputError: a place that is empty, or lies wholly outside of what the video shows.
        """
        notes = list(self.embeds.notes)
        speakers = len(self.embeds.tracks_NLC)
        if speakers == 1:
            return tuple(notes)
        looked_at: set[tuple[int, ...]] = set()
        for window in windows:
            frames, lost = frames_at(self.embeds.places, self.picture, self.video, window.start)
            if frames not in looked_at:
                looked_at.add(frames)
                _, resized = masks_at(self.embeds.places, speakers, self.picture, frames)
                notes += [*lost, *resized, *self.masks(frames).notes]
        return one_of_a_kind(notes)
