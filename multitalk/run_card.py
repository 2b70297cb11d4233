"""Which run it is, what its video is like, and what to do with what is there already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from .output_format import MP4_H264, OutputFormat
from .types import Waveform
from .video_settings import VideoSettings
from .windows import Window


class Resume(Enum):
    """What to do with the windows that are already finished."""

    AUTO = "auto"
    RESTART = "restart"
    ONLY_FINISHED = "only_finished"


@dataclass(frozen=True, slots=True)
class RunCard:
    """Which run it is.

    Attributes:
        fingerprint: of everything that shapes the result.
        keys: one a window, see fingerprint.chained.
        windows: the plan.
        settings: the run as people read it.
    """

    fingerprint: str
    keys: tuple[str, ...]
    windows: tuple[Window, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VideoForm:
    """What the video is like.

    Attributes:
        height_px, width_px: size.
        sound: muxed from sample 0 on, or None.
        metadata: text by key, written into the file.
        settings: of the encoder.
        output: the form in which it is written.
    """

    height_px: int
    width_px: int
    sound: Waveform | None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: VideoSettings = field(default_factory=VideoSettings)
    output: OutputFormat = MP4_H264
