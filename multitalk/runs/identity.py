"""Which run it is, what its video is like, and what to do with what is there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import torch

from ..common.types import Waveform
from ..dubbing.paste import Paster
from ..media.frame_clock import FrameClock
from ..media.frame_encoder import Frames
from ..media.output_format import MP4_H264, OutputFormat
from ..media.stream_codecs import VideoSettings
from ..windows.plan import Window

SLACK_BYTES = 16 * 2**20
"""What containers take beside pictures and sound, and then some."""


class Resume(Enum):
    """What to do with the windows that are already finished."""

    AUTO = "auto"
    RESTART = "restart"
    ONLY_FINISHED = "only_finished"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which run it is.

    Attributes:
        fingerprint: of everything that shapes the result.
        keys: one a window, see fingerprint.chained.
        windows: the plan.
        settings: the run as people read it.
        clip_key: of the clip that is made before the first window; empty where there is none.
    """

    fingerprint: str
    keys: tuple[str, ...]
    windows: tuple[Window, ...]
    settings: Mapping[str, str]
    clip_key: str = ""


@dataclass(frozen=True, slots=True)
class VideoForm:
    """What the video is like.

    Attributes:
        height_px, width_px: size of the frames that windows make.
        sound: muxed from sample 0 on, or None.
        metadata: text by key, written into the file.
        settings: of the encoder.
        output: the form in which it is written.
        paste: puts windows' frames back into the clip that they are cut out of; None: they are the video.
    """

    height_px: int
    width_px: int
    sound: Waveform | None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: VideoSettings = field(default_factory=VideoSettings)
    output: OutputFormat = MP4_H264
    paste: Paster | None = None

    @property
    def clock(self) -> FrameClock | None:
        """When the video shows its frames; None: at the steady rate of the settings."""
        return None if self.paste is None else self.paste.clock

    def shown(self, start: int, frames_FHWC: torch.Tensor) -> Frames:
        """What the video shows of frames that windows made, the first of them number `start`."""
        return frames_FHWC if self.paste is None else self.paste.window(start, frames_FHWC)

    def most_bytes(self, windows: Sequence[Window]) -> int:
        """What no file of one of these windows is larger than: a manifest that says so is not believed.

        Frames that are carried are float32, which is more than any form of video needs. Beside the frames a
        window may hold as many that wait to be blended.
        """
        frames = 2 * max((window.frames for window in windows), default=0)
        metadata = sum(len(text) for text in self.metadata.values())
        sound = 0 if self.sound is None else 4 * self.sound.samples_CT.numel()
        made = 12 * self.height_px * self.width_px * frames
        pasted = 0 if self.paste is None else 12 * self.paste.most_pixels(frames)
        return made + pasted + 4 * metadata + sound + SLACK_BYTES
