"""The sound of a video file: what AAC can carry, and a track that is encoded along with the frames.

Shape letters: C channels, T samples.
"""

import logging
from dataclasses import dataclass
from fractions import Fraction

import torch
from av import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from ..common.tensor_file import drop_page_cache
from ..common.types import Waveform

LOG = logging.getLogger("evertalk")

AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sample rates that AAC has a code for (ISO/IEC 14496-3, table 1.18)."""

OTHER_RATE_HZ = 48000
"""Sound of any other rate is resampled to this one."""

LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1")
"""FFmpeg's name of the layout for 1 to 7 channels; their order in the file is kept. AAC has 8 too, but
PyAV, with which ComfyUI reads sound, ends the process when asked for the samples of 8 (seen in 18.1)."""


@dataclass(frozen=True, slots=True)
class SoundCodec:
    """How a sound is encoded.

    Attributes:
        name: FFmpeg's name of the encoder.
        rates_hz: sample rates that it has; empty: any.
        is_lossless: whether samples come back as they were, so that no bit rate is asked for.
    """

    name: str
    rates_hz: tuple[int, ...]
    is_lossless: bool


AAC = SoundCodec("aac", AAC_RATES_HZ, is_lossless=False)
PCM = SoundCodec("pcm_f32le", (), is_lossless=True)

_BITS_A_SAMPLE = 4
_MOST_BITS_A_CHANNEL = 128_000


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """How a sound is stored in the file.

    Attributes:
        rate_hz: sample rate of the stream.
        layout: FFmpeg's name of the channel layout.
        bit_rate: bits a second over all channels.
    """

    rate_hz: int
    layout: str
    bit_rate: int


def sound_format(rate_hz: int, num_channels: int, codec: SoundCodec = AAC) -> SoundFormat:
    """The stream for a sound: its own rate if the codec has it, else 48 kHz; up to 7 channels, else mono."""
    kept_rate_hz = rate_hz if not codec.rates_hz or rate_hz in codec.rates_hz else OTHER_RATE_HZ
    kept_channels = num_channels if num_channels <= len(LAYOUTS) else 1
    bits_a_channel = min(_BITS_A_SAMPLE * kept_rate_hz, _MOST_BITS_A_CHANNEL)
    return SoundFormat(kept_rate_hz, LAYOUTS[kept_channels - 1], bits_a_channel * kept_channels)


class SoundTrack:
    """A stream of sound that is fed as the frames are written, so that the file stays interleaved.

    Samples are taken from the sound as they are needed; none are copied ahead.
    """

    def __init__(
        self, container: OutputContainer, sound: Waveform, fps: Fraction, codec: SoundCodec = AAC
    ) -> None:
        samples_CT = sound.samples_CT
        self._format = sound_format(sound.sample_rate_hz, samples_CT.shape[0], codec)
        if self._format.rate_hz != sound.sample_rate_hz:
            LOG.info(
                "Sound: AAC has no %d Hz, so it is resampled to %d Hz in the file",
                sound.sample_rate_hz,
                self._format.rate_hz,
            )
        if samples_CT.shape[0] > len(LAYOUTS):
            LOG.info("Sound: %d channels are mixed to mono in the file", samples_CT.shape[0])
            samples_CT = samples_CT.mean(dim=0, keepdim=True)
        self._samples_CT = samples_CT
        self._rate_hz = sound.sample_rate_hz
        self._fps = fps
        self._taken = 0
        self._container = container
        stream = container.add_stream(codec.name, rate=self._format.rate_hz, layout=self._format.layout)
        assert isinstance(stream, AudioStream), f"{codec.name} makes sound"
        self._stream = stream
        if not codec.is_lossless:
            self._stream.bit_rate = self._format.bit_rate

    def advance(self, frames: int) -> None:
        """Encode the sound up to the end of video frame number `frames`."""
        self.advance_to(frames / self._fps)

    def advance_to(self, time_s: Fraction) -> None:
        """Encode the sound up to a time."""
        self._take_until(min(round(time_s * self._rate_hz), self._samples_CT.shape[1]))

    def take_rest(self) -> None:
        """Encode what is left of the sound."""
        self._take_until(self._samples_CT.shape[1])

    def flush(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))

    def _take_until(self, end: int) -> None:
        if end <= self._taken:
            return
        part_TC = self._samples_CT[:, self._taken : end].to(torch.float32).T.contiguous()
        frame = AudioFrame.from_ndarray(
            part_TC.reshape(1, -1).numpy(), format="flt", layout=self._format.layout
        )
        frame.sample_rate = self._rate_hz
        frame.time_base = Fraction(1, self._rate_hz)
        frame.pts = self._taken
        self._container.mux(self._stream.encode(frame))
        if end // self._rate_hz > self._taken // self._rate_hz:
            drop_page_cache()
        self._taken = end
