"""Who is heard in a window, what the encoder heard around each of its frames, and where the speakers are.

Shape letters: S voices of the window, N frames of a track, F frames of the window, K frames of context, L
encoder layers, C channels, M masks, P tokens of a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..common.size_buckets import Size
from ..common.tensor_file import drop_page_cache
from ..common.types import CONTEXT_FRAMES, LiveForm
from ..speakers.masks import SpeakerMasks, make_speaker_masks
from ..speakers.places import frames_at, masks_at, one_of_a_kind
from ..speech.active_pair import PAIR, active_pair
from ..speech.embeds import AudioEmbeds
from .loop import WindowVoices
from .plan import Window


def context_indices(num_frames: int, start: int, count: int) -> torch.Tensor:
    """Indices (count, K) of the frames around `start`, `start + 1`, ..., clamped to a track of num_frames."""
    reach = CONTEXT_FRAMES // 2
    centres = torch.arange(start, start + count)[:, None]
    return (centres + torch.arange(-reach, reach + 1)).clamp(0, num_frames - 1)


def window_of_frames(track_NLC: torch.Tensor, start: int, count: int) -> torch.Tensor:
    """The features (count, K, L, C) that the projector sees for `count` frames from frame `start` on."""
    return track_NLC[context_indices(track_NLC.shape[0], start, count).to(track_NLC.device)]


def window_after_silence(track_NLC: torch.Tensor, start: int, count: int) -> torch.Tensor:
    """As window_of_frames, of a track that ends in encoded silence: that is heard before its frame 0 too.

    A window that leads in to the video begins before it, where the first sound would else be held. `start`
    and its context lie no further before frame 0 than the silence is long.
    """
    reach = CONTEXT_FRAMES // 2
    frames = torch.arange(start, start + count)[:, None] + torch.arange(-reach, reach + 1)
    length = track_NLC.shape[0]
    return track_NLC[
        torch.where(frames < 0, frames + length, frames).clamp(max=length - 1).to(track_NLC.device)
    ]


def newest_frames(buffer_NLC: torch.Tensor, count: int) -> torch.Tensor:
    """The features (count, K, L, C) of the last `count` frames of what was heard: no future is known."""
    return window_of_frames(buffer_NLC, buffer_NLC.shape[0] - count, count)


def heard_by(window: Window, track_NLC: torch.Tensor, live: LiveForm | None) -> torch.Tensor:
    """The features (F, K, L, C) of a voice in a window."""
    if live is not None:
        kept = track_NLC[window.index * live.kept_frames : (window.index + 1) * live.kept_frames]
        return newest_frames(kept, window.frames)
    cut_out = window_after_silence if window.lead else window_of_frames
    return cut_out(track_NLC, window.start, window.frames)


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
        audio_SFKLC = torch.stack([heard_by(window, track, self.embeds.live) for track in tracks])
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
