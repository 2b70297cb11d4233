"""Long speech through the encoder in overlapping chunks, in bounded memory.

All norms over time use statistics of the whole track, and features are the same as in one pass. What differs
is whom a frame attends to: in a chunk, to REACH_FRAMES around it at least instead of to the whole track.

Shape letters: T samples, N video frames, L encoder layers, C channels.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from .speech_encoder import SpeechEncoder
from .tensor_file import let_go
from .waveform import SAMPLES_PER_FRAME

CHUNK_FRAMES = 2000
"""Frames of a chunk, 80 s; a track that is not longer goes through in one pass."""

REACH_FRAMES = 250
"""Frames at each inner edge of a chunk that are heard and not kept, 10 s."""


class Chunk(NamedTuple):
    """Frames that are encoded together, and those of them that are kept.

    Attributes:
        heard: frames of the track.
        kept: frames of the track inside of those.
    """

    heard: range
    kept: range


def plan_chunks(
    num_frames: int, chunk_frames: int = CHUNK_FRAMES, reach_frames: int = REACH_FRAMES
) -> tuple[Chunk, ...]:
    """Chunks of one length that keep each frame once, in order; one chunk if the track is not longer."""
    assert 2 * reach_frames < chunk_frames, "a chunk keeps frames"
    if num_frames <= chunk_frames:
        return (Chunk(range(num_frames), range(num_frames)),)
    chunks: list[Chunk] = []
    done = 0
    while done < num_frames:
        start = max(0, min(done - reach_frames, num_frames - chunk_frames))
        end = start + chunk_frames
        kept = range(done, num_frames if end == num_frames else end - reach_frames)
        chunks.append(Chunk(range(start, end), kept))
        done = kept.stop
    return tuple(chunks)


def encode_in_chunks(
    encoder: SpeechEncoder,
    samples_T: torch.Tensor,
    num_frames: int,
    stats_samples: int,
    device: torch.device | None = None,
) -> Iterator[torch.Tensor]:
    """Hidden states (n, L, C) of consecutive frames on the CPU, num_frames in all.

    Args:
        encoder: the speech encoder.
        samples_T: mono samples at 16 kHz on the CPU, num_frames long; may lie in a file.
        num_frames: video frames that the samples last.
        stats_samples: how many leading samples are real sound, see SpeechEncoder.forward.
        device: where each chunk is encoded; None: on the CPU.
    """
    with torch.no_grad():
        stats = encoder.measured(samples_T, stats_samples, device)
    for heard, kept in plan_chunks(num_frames):
        part_T = samples_T[heard.start * SAMPLES_PER_FRAME : heard.stop * SAMPLES_PER_FRAME].to(device)
        with torch.no_grad():
            states_NLC = encoder.hidden_states(part_T, len(heard), stats)
        let_go()
        yield states_NLC[kept.start - heard.start : kept.stop - heard.start].cpu()
