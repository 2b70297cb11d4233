"""From voices to the audio embeds of a run, and these themselves.

Shape letters: N frames of a track with its silent tail, F video frames, L encoder layers, C channels, S
speakers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch

from ..common.mask_places import SPEAKER_NAMES, Place
from ..common.tensor_file import gathered
from ..common.types import TAIL_FRAMES, LiveForm, Speakers, VoiceMarks, Waveform
from .active_pair import track_activity
from .live import live_features
from .loudness import loudness_of_pieces, speech_gain, with_gain
from .voice_marks import mark_voices
from .waveform import SPEECH_RATE_HZ, padded_pieces, speech_pieces, video_frames_of


@dataclass(frozen=True, slots=True)
class AudioEmbeds:
    """Encoded speech, ready for the sampler.

    Attributes:
        tracks_NLC: one tensor a speaker, (video_frames + TAIL_FRAMES, encoder layers, channels), float32 on
            the CPU. The tail is encoded silence. With `live`, (windows * live.kept_frames, ...): what each
            window hears by itself, one behind the other.
        video_frames: length of the video: round(FPS * seconds of the audio).
        sound: the sound as it is muxed into the file; with several voices, their mix.
        activity_SF: power of each track in each video frame, (speakers, video_frames) float32; it decides
            which two of three or four are heard in a window, and may be None with fewer.
        places: where the speakers are, see Speakers.
        notes: sentences for the user.
        marks: what was encoded, or None where that is not known.
        live: the windows that the speech was heard for one by one; None: it was heard as a whole.
    """

    tracks_NLC: tuple[torch.Tensor, ...]
    video_frames: int
    sound: Waveform
    activity_SF: torch.Tensor | None = None
    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()
    marks: VoiceMarks | None = None
    live: LiveForm | None = None

    def __post_init__(self) -> None:
        assert self.tracks_NLC, "at least one speaker"
        for track_NLC in self.tracks_NLC:
            assert track_NLC.ndim == 3, f"(frames, layers, channels), not {tuple(track_NLC.shape)}"
            assert track_NLC.shape[0] == self.track_frames, "video frames and the silent tail"
        assert len(self.places) in {0, len(self.tracks_NLC)}, "a place a speaker, or none at all"

    @property
    def track_frames(self) -> int:
        """How many frames of features a track has."""
        if self.live is None:
            return self.video_frames + TAIL_FRAMES
        return self.live.windows_in(self.video_frames) * self.live.kept_frames


class EncodesSpeech(Protocol):
    """A loaded speech encoder."""

    def encode(
        self, speech: Waveform, num_frames: int, stats_samples: int, folder: Path | None
    ) -> Iterator[torch.Tensor]:
        """Hidden states (n, L, C) of consecutive frames, num_frames in all, float32 on the CPU.

        Args:
            speech: mono at 16 kHz, as long as num_frames video frames.
            num_frames: video frames to give features for.
            stats_samples: how many leading samples are real sound, not appended silence.
            folder: where intermediate results of a long track lie; None: in memory.
        """
        ...


@dataclass(frozen=True, slots=True)
class TrackContent:
    """All that shapes a track but the encoder.

    Attributes:
        voice: the sound.
        video_frames: length of the video.
        normalise: it is brought to -23 LUFS.
        live: it is heard window by window; None: as a whole.
    """

    voice: Waveform
    video_frames: int
    normalise: bool
    live: LiveForm | None


RecallTrack = Callable[[TrackContent, Callable[[], torch.Tensor]], torch.Tensor]
"""A track's features: kept from before, or what the function encodes."""


def encode_now(_content: TrackContent, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Nothing is kept from before."""
    return make()


def one_speaker(sound: Waveform) -> Speakers:
    """A single speaker, who is heard as they are."""
    return Speakers(SPEAKER_NAMES[:1], (sound,), sound, notes=sound.notes)


def encode_voices(
    encoder: EncodesSpeech,
    speakers: Speakers,
    *,
    normalise: bool = True,
    maker: str = "",
    folder: Path | None = None,
    live: LiveForm | None = None,
    recall: RecallTrack = encode_now,
) -> AudioEmbeds:
    """Encodes one track a voice, each followed by real silence for the last window's tail.

    Args:
        encoder: the speech encoder.
        speakers: their voices, none longer than the sound of the video, whose length is the video's; the
            shorter are silent at their end.
        normalise: bring each voice to -23 LUFS before encoding, as the weights were trained.
        maker: stands for the encoder, so that the same sound can be known again; empty if nothing does.
        folder: where long tracks are kept; None: in memory.
        live: hear the speech window by window as if it were still being made, without a look ahead; None: as
            a whole.
        recall: gives a track's features.

    Raises:
        InputError: the folder's disk is full or gone.
    """
    video_frames = video_frames_of(speakers.sound)

    def track_of(voice: Waveform) -> torch.Tensor:
        if live is None:
            return _encoded(encoder, voice, _gain(voice) if normalise else 1.0, video_frames, folder)
        return _heard_live(encoder, voice, live, video_frames, folder, normalise=normalise)

    tracks = tuple(
        recall(TrackContent(voice, video_frames, normalise, live), partial(track_of, voice))
        for voice in speakers.voices
    )
    made_by = f"{maker} {normalise}" if live is None else f"{maker} {normalise} {live}"
    return AudioEmbeds(
        tracks_NLC=tracks,
        video_frames=video_frames,
        sound=speakers.sound,
        activity_SF=torch.stack([track_activity(voice, video_frames) for voice in speakers.voices]),
        places=speakers.places,
        notes=speakers.notes,
        marks=mark_voices(speakers.voices, video_frames, made_by) if maker else None,
        live=live,
    )


def _gain(voice: Waveform) -> float:
    return speech_gain(loudness_of_pieces(speech_pieces(voice), SPEECH_RATE_HZ))


def _encoded(
    encoder: EncodesSpeech, voice: Waveform, gain: float, video_frames: int, folder: Path | None
) -> torch.Tensor:
    """The track of one voice: video_frames and the silent tail."""
    num_frames = video_frames + TAIL_FRAMES
    real_samples = 0

    def heard() -> Iterator[torch.Tensor]:
        nonlocal real_samples
        for piece_T in speech_pieces(voice):
            real_samples += piece_T.shape[0]
            yield with_gain(piece_T, gain)

    speech = Waveform(gathered(padded_pieces(heard(), num_frames), folder)[None], SPEECH_RATE_HZ)
    return gathered(encoder.encode(speech, num_frames, real_samples, folder), folder)


def _heard_live(
    encoder: EncodesSpeech,
    voice: Waveform,
    live: LiveForm,
    video_frames: int,
    folder: Path | None,
    *,
    normalise: bool,
) -> torch.Tensor:
    """What each window hears of a voice, one behind the other; silent where it ends before the video."""
    samples_T = gathered(padded_pieces(speech_pieces(voice), video_frames), folder)

    def encode(buffer_T: torch.Tensor, num_frames: int) -> Iterator[torch.Tensor]:
        return encoder.encode(Waveform(buffer_T[None], SPEECH_RATE_HZ), num_frames, len(buffer_T), folder)

    features = live_features(samples_T, live, encode, normalise=normalise)
    return gathered(islice(features, live.windows_in(video_frames)), folder)
