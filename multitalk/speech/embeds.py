"""From voices to the audio embeds of a run.

Shape letters: N frames of a track with its silent tail, F video frames, L encoder layers, C channels, S
speakers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch

from ..common.tensor_file import gathered
from ..common.types import TAIL_FRAMES, AudioEmbeds, Speakers, Waveform
from .active_pair import track_activity
from .loudness import loudness_of_pieces, speech_gain, with_gain
from .voice_marks import mark_voices
from .waveform import SAMPLES_PER_FRAME, SPEECH_RATE_HZ, speech_pieces, video_frames_of


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


def encode_voices(
    encoder: EncodesSpeech,
    speakers: Speakers,
    *,
    normalise: bool = True,
    maker: str = "",
    folder: Path | None = None,
) -> AudioEmbeds:
    """Encodes one track a voice, each followed by real silence for the last window's tail.

    Args:
        encoder: the speech encoder.
        speakers: their voices, none longer than the sound of the video, whose length is the video's; the
            shorter are silent at their end.
        normalise: bring each voice to -23 LUFS before encoding, as the weights were trained.
        maker: stands for the encoder, so that the same sound can be known again; empty if nothing does.
        folder: where long tracks are kept; None: in memory.

    Raises:
        InputError: the folder's disk is full or gone.
    """
    video_frames = video_frames_of(speakers.sound)
    gains = [_gain(voice) if normalise else 1.0 for voice in speakers.voices]
    tracks = tuple(
        _encoded(encoder, voice, gain, video_frames, folder)
        for voice, gain in zip(speakers.voices, gains, strict=True)
    )
    return AudioEmbeds(
        tracks_NLC=tracks,
        video_frames=video_frames,
        sound=speakers.sound,
        activity_SF=torch.stack([track_activity(voice, video_frames) for voice in speakers.voices]),
        places=speakers.places,
        notes=speakers.notes,
        marks=mark_voices(speakers.voices, video_frames, f"{maker} {normalise}") if maker else None,
    )


def _gain(voice: Waveform) -> float:
    return speech_gain(loudness_of_pieces(speech_pieces(voice), SPEECH_RATE_HZ))


def _encoded(
    encoder: EncodesSpeech, voice: Waveform, gain: float, video_frames: int, folder: Path | None
) -> torch.Tensor:
    """The track of one voice: video_frames and the silent tail."""
    num_frames = video_frames + TAIL_FRAMES
    real_samples = 0

    def with_tail() -> Iterator[torch.Tensor]:
        nonlocal real_samples
        for piece_T in speech_pieces(voice):
            real_samples += piece_T.shape[0]
            yield with_gain(piece_T, gain)
        yield torch.zeros(num_frames * SAMPLES_PER_FRAME - real_samples)

    speech = Waveform(gathered(with_tail(), folder)[None], SPEECH_RATE_HZ)
    return gathered(encoder.encode(speech, num_frames, real_samples, folder), folder)
