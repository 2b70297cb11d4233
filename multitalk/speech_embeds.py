"""From voices to the audio embeds of a run.

Shape letters: N frames of a track with its silent tail, F video frames, L encoder layers, C channels, S
speakers.
"""

from typing import Protocol

import torch

from .active_pair import track_activity
from .loudness import at_speech_loudness
from .types import TAIL_FRAMES, AudioEmbeds, Speakers, Waveform
from .waveform import to_speech, video_frames_of, with_silent_tail


class EncodesSpeech(Protocol):
    """A loaded speech encoder."""

    def encode(self, speech: Waveform, num_frames: int, stats_samples: int) -> torch.Tensor:
        """Hidden states (num_frames, L, C), float32 on the CPU.

        Args:
            speech: mono at 16 kHz, as long as num_frames video frames.
            num_frames: video frames to give features for.
            stats_samples: how many leading samples are real sound, not appended silence.
        """
        ...


def encode_voices(encoder: EncodesSpeech, speakers: Speakers, *, normalise: bool = True) -> AudioEmbeds:
    """Encodes one track a voice, each followed by real silence for the last window's tail.

    Args:
        encoder: the speech encoder.
        speakers: their voices, none longer than the sound of the video, whose length is the video's; the
            shorter are silent at their end.
        normalise: bring each voice to -23 LUFS before encoding, as the weights were trained.
    """
    video_frames = video_frames_of(speakers.sound)
    tracks = tuple(_encoded(encoder, voice, video_frames, normalise=normalise) for voice in speakers.voices)
    return AudioEmbeds(
        tracks_NLC=tracks,
        video_frames=video_frames,
        sound=speakers.sound,
        activity_SF=torch.stack([track_activity(voice, video_frames) for voice in speakers.voices]),
        places=speakers.places,
        notes=speakers.notes,
    )


def _encoded(encoder: EncodesSpeech, voice: Waveform, video_frames: int, *, normalise: bool) -> torch.Tensor:
    """The track of one voice: video_frames and the silent tail."""
    speech = to_speech(voice)
    if normalise:
        speech = at_speech_loudness(speech)
    padded = with_silent_tail(speech, video_frames)
    return encoder.encode(padded, video_frames + TAIL_FRAMES, speech.samples_CT.shape[1])
