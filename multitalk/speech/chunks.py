"""Long speech through the encoder in chunks, in bounded memory.

Layer by layer: a chunk of frames at a time, which attend to all frames around them up to REACH_FRAMES away,
those of other chunks included. Keys, values and outputs of the whole track lie in files meanwhile.

All norms over time use statistics of the whole track, and the convolutions hear across the chunks' edges. So
up to REACH_FRAMES the result is that of one pass; in a longer track a frame does not attend to what is said
more than a quarter of an hour away.

Shape letters: B batch (always 1), T samples, N video frames, M frames that are attended to, L encoder layers,
C channels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..common.tensor_file import check_room, drop_page_cache, gathered
from .config import SpeechEncoderConfig
from .encoder import EncoderLayer, KeysValues, SpeechEncoder
from .features import TrackStats
from .waveform import SAMPLES_PER_FRAME

CHUNK_FRAMES = 2000
"""Frames of a chunk, 80 s; a track that is not longer goes through in one pass."""

REACH_FRAMES = 22_500
"""Frames on either side that a frame attends to, 15 min. Attention that is spread evenly over all frames, as
that of random weights, is the worst case: with that many an hour was measured 0.6 % from one pass (see
bench/speech_chunks.py)."""


@dataclass(frozen=True, slots=True)
class EncodeContext:
    """Where and how a long track is encoded.

    Attributes:
        device: where chunks are computed; None: on the CPU.
        folder: where files lie that last until the track is encoded; None: all stays in memory.
        check: called after each chunk; may raise to stop.
        chunk_frames: frames of a chunk.
        reach_frames: frames on either side that a frame attends to.
    """

    device: torch.device | None = None
    folder: Path | None = None
    check: Callable[[], None] = lambda: None
    chunk_frames: int = CHUNK_FRAMES
    reach_frames: int = REACH_FRAMES


def encode_in_chunks(
    encoder: SpeechEncoder,
    samples_T: torch.Tensor,
    num_frames: int,
    stats_samples: int,
    context: EncodeContext,
) -> Iterator[torch.Tensor]:
    """Hidden states (n, L, C) of consecutive frames on the CPU, num_frames in all.

    Args:
        encoder: the speech encoder.
        samples_T: mono samples at 16 kHz on the CPU; may lie in a file. A long track's are num_frames long.
        num_frames: video frames that the samples last.
        stats_samples: how many leading samples are real sound, see SpeechEncoder.forward.
        context: where and how the work is done.

    Raises:
        InputError: the folder's disk has no room for a long track.
    """
    if num_frames <= context.chunk_frames:
        with torch.no_grad():
            states_NLC = encoder(samples_T.to(context.device), num_frames, stats_samples).cpu()
        yield states_NLC
        return
    assert samples_T.shape[0] == num_frames * SAMPLES_PER_FRAME, "whole frames"
    check_room(context.folder, encoding_disk_bytes(encoder.config, num_frames))
    with torch.no_grad():
        stats = encoder.measured(samples_T, stats_samples, context.device)
        x_NC = gathered(_placed(encoder, samples_T, num_frames, stats, context), context.folder)
        outputs: list[torch.Tensor] = []
        for layer in encoder.encoder.layers:
            assert isinstance(layer, EncoderLayer)
            x_NC = gathered(_layer_outputs(layer, x_NC, context), context.folder)
            outputs.append(x_NC)
        outputs[-1] = gathered(_mapped(encoder.encoder.finished, x_NC, context), context.folder)
    for chunk in chunks_of(num_frames, context.chunk_frames):
        yield torch.stack([output_NC[chunk.start : chunk.stop] for output_NC in outputs], dim=1)
        drop_page_cache()


def encoding_bytes(config: SpeechEncoderConfig, num_frames: int) -> int:
    """About the most memory beside the weights that encoding num_frames video frames takes."""
    if num_frames <= CHUNK_FRAMES:
        return config.encoding_bytes(num_frames)
    attended = min(num_frames, CHUNK_FRAMES + 2 * REACH_FRAMES)
    return config.encoding_bytes(CHUNK_FRAMES) + 2 * 4 * attended * config.dim


def encoding_disk_bytes(config: SpeechEncoderConfig, num_frames: int) -> int:
    """The most that lies in files while num_frames video frames are encoded: 7 GB an hour with the base size.

    What the first layer gets, the output of each, and all of them once more as the track that is given.
    """
    return 4 * num_frames * config.dim * (2 * config.num_layers + 1)


def chunks_of(num_frames: int, length: int = CHUNK_FRAMES) -> Iterator[range]:
    """The frames of each chunk."""
    return (range(start, min(start + length, num_frames)) for start in range(0, num_frames, length))


def around(chunk: range, num_frames: int, reach: int) -> range:
    """A chunk and up to `reach` frames on either side."""
    return range(max(0, chunk.start - reach), min(num_frames, chunk.stop + reach))


def _placed(
    encoder: SpeechEncoder,
    samples_T: torch.Tensor,
    num_frames: int,
    stats: TrackStats,
    context: EncodeContext,
) -> Iterator[torch.Tensor]:
    """What the first layer gets of each chunk, (n, C)."""
    reach = encoder.config.position_kernel  # half of it is what the convolution sees on either side
    for chunk in chunks_of(num_frames, context.chunk_frames):
        seen = around(chunk, num_frames, reach)
        part_T = samples_T[seen.start * SAMPLES_PER_FRAME : seen.stop * SAMPLES_PER_FRAME].to(context.device)
        placed_BNC = encoder.encoder.placed(encoder.projected(part_T, len(seen), stats))
        yield placed_BNC[0, chunk.start - seen.start : chunk.stop - seen.start].cpu()
        drop_page_cache()
        context.check()


def _layer_outputs(layer: EncoderLayer, x_NC: torch.Tensor, context: EncodeContext) -> Iterator[torch.Tensor]:
    """A layer's output of each chunk, (n, C)."""
    num_frames = x_NC.shape[0]
    keys_NC = gathered(_mapped(lambda x_BNC: layer.keys_values(x_BNC).keys, x_NC, context), context.folder)
    values_NC = gathered(
        _mapped(lambda x_BNC: layer.keys_values(x_BNC).values, x_NC, context), context.folder
    )
    for chunk in chunks_of(num_frames, context.chunk_frames):
        near = around(chunk, num_frames, context.reach_frames)
        heard = KeysValues(
            *(whole_NC[near.start : near.stop][None].to(context.device) for whole_NC in (keys_NC, values_NC))
        )
        yield layer(x_NC[chunk.start : chunk.stop][None].to(context.device), heard)[0].cpu()
        drop_page_cache()
        context.check()


def _mapped(
    function: Callable[[torch.Tensor], torch.Tensor], x_NC: torch.Tensor, context: EncodeContext
) -> Iterator[torch.Tensor]:
    """A function of (1, n, C) of each chunk, (n, C)."""
    for chunk in chunks_of(x_NC.shape[0], context.chunk_frames):
        yield function(x_NC[chunk.start : chunk.stop][None].to(context.device))[0].cpu()
        drop_page_cache()
