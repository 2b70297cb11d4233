"""Marks of what each voice says in each video frame, by which the windows of two runs are compared.

Encoded speech cannot be compared: the encoder listens to the whole track, so that a longer one changes every
feature a little. The sound itself stays the same where nothing was changed.

Shape letters: S speakers, F video frames, D bytes of a mark, C channels, T samples.
"""

import hashlib
from collections.abc import Sequence

import torch

from ..common.fingerprint import DIGEST_BYTES
from ..common.tensor_file import drop_page_cache
from ..common.types import FPS, VoiceMarks, Waveform
from .active_pair import STRETCH_FRAMES


def mark_voices(voices: Sequence[Waveform], video_frames: int, maker: str) -> VoiceMarks:
    """The marks of voices before they are encoded; a voice that ends early is silent from there on.

    Args:
        voices: one sound a speaker.
        video_frames: length of the video.
        maker: what stands for the encoder and its settings.
    """
    return VoiceMarks(maker, torch.stack([_marks(voice, video_frames) for voice in voices]))


def _marks(voice: Waveform, video_frames: int) -> torch.Tensor:
    rate_hz = voice.sample_rate_hz
    kind = f"{rate_hz} {voice.samples_CT.shape[0]} ".encode()
    marks = bytearray()
    for frame in range(video_frames):
        start, end = round(frame * rate_hz / FPS), round((frame + 1) * rate_hz / FPS)
        samples_CT = voice.samples_CT[:, start:end].to(torch.float32).contiguous()
        digest = hashlib.blake2b(kind, digest_size=DIGEST_BYTES)
        digest.update(samples_CT.numpy().data)
        marks += digest.digest()
        if frame % STRETCH_FRAMES == 0:
            drop_page_cache()
    return torch.frombuffer(marks, dtype=torch.uint8).reshape(video_frames, DIGEST_BYTES)
