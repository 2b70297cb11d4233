"""Decoded sound block by block, as long as its file says: without what fills up an encoder's last frame.

AAC comes in frames of 1024 samples, and an MP4 file notes how many of the last one are sound. FFmpeg's
libraries cut there since PyAV 19; before, 0.8 s at 16 kHz come back as 13,312 samples instead of 12,800, and
a video of them would be a frame longer.

Shape letters: C channels, T samples.
"""

from collections.abc import Iterator
from fractions import Fraction

import torch
from av import AudioFrame, Packet
from av.audio.stream import AudioStream
from av.container import InputContainer

from .mix_down import MixDown


def sound_blocks(
    container: InputContainer, stream: AudioStream, resampler: MixDown
) -> Iterator[tuple[AudioFrame, torch.Tensor]]:
    """Each decoded frame with its samples (C, T), as a resampler that keeps the rate gives them."""
    held: tuple[AudioFrame, torch.Tensor] | None = None
    last: Packet[AudioStream] | None = None
    for packet in container.demux(stream):
        for frame in packet.decode():
            if held is not None:
                yield held
            # At the same rate a resampler holds nothing back.
            blocks = [torch.from_numpy(block.to_ndarray()) for block in resampler.resample(frame)]
            held = frame, torch.cat(blocks, dim=1)
        last = packet if packet.size else last  # an empty one ends the decoder
    if held is not None and last is not None:
        frame, block_CT = held
        in_mp4 = "mp4" in container.format.name
        yield frame, block_CT[:, : own_samples(frame, last) if in_mp4 else None]


def own_samples(frame: AudioFrame, packet: "Packet[AudioStream]") -> int:
    """How many samples of a track's last frame are sound: all, unless its packet says less."""
    own = round(Fraction(packet.duration or 0) * packet.time_base * frame.sample_rate)
    counts_each = packet.time_base * frame.sample_rate <= 1
    return own if counts_each and 0 < own < frame.samples else frame.samples
