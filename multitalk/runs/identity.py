"""Which run it is, what its video is like, and what to do with what is there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ..common.types import Waveform
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

    def most_bytes(self, windows: Sequence[Window]) -> int:
        """What no file of one of these windows is larger than: a manifest that says so is not believed.

        Frames that are carried are float32, which is more than any form of video needs. Beside the frames a
        window may hold as many that wait to be blended.
        """
        frames = 2 * max((window.frames for window in windows), default=0)
        metadata = sum(len(text) for text in self.metadata.values())
        sound = 0 if self.sound is None else 4 * self.sound.samples_CT.numel()
        return 12 * self.height_px * self.width_px * frames + 4 * metadata + sound + SLACK_BYTES
