"""How frames are encoded, whatever the codec."""

from dataclasses import dataclass
from fractions import Fraction

from ..common.types import FPS


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How frames are encoded.

    Attributes:
        fps: frames a second.
        crf: x264's constant quality, 0 (lossless) to 51; 17 looks lossless.
        preset: x264's speed preset, "ultrafast" to "veryslow".
    """

    fps: Fraction = Fraction(FPS)
    crf: int = 17
    preset: str = "medium"
