"""Sizes of Wan 2.1 videos in pixels, latents and tokens.

The strides are those of the Wan 2.1 VAE (time 4, space 8) and of the transformer's patch (1, 2, 2).
"""

from typing import NamedTuple

TIME_STRIDE = 4
SPACE_STRIDE = 8
PATCH_HW = 2
SIZE_MULTIPLE = SPACE_STRIDE * PATCH_HW
LATENT_CHANNELS = 16


class LatentShape(NamedTuple):
    """The latent grid of a video: frames, rows and columns."""

    frames: int
    height: int
    width: int

    @classmethod
    def of_video(cls, pixel_frames: int, height_px: int, width_px: int) -> "LatentShape":
        """The latent grid of `pixel_frames` frames of height_px x width_px pixels."""
        return cls(latent_frames(pixel_frames), height_px // SPACE_STRIDE, width_px // SPACE_STRIDE)

    @property
    def tokens(self) -> int:
        """Tokens of the transformer, the keys of its self-attention."""
        return self.frames * (self.height // PATCH_HW) * (self.width // PATCH_HW)


def latent_frames(pixel_frames: int) -> int:
    """How many latent frames the VAE makes of `pixel_frames` (the first frame stands alone)."""
    return (pixel_frames - 1) // TIME_STRIDE + 1


def pixel_frames(num_latent_frames: int) -> int:
    """How many frames `num_latent_frames` decode to: always 4n+1."""
    return (num_latent_frames - 1) * TIME_STRIDE + 1


def snap_frames(frames: int) -> int:
    """The largest 4n+1 that is not above `frames`, and at least 1."""
    return pixel_frames(latent_frames(max(frames, 1)))


def snap_size(size_px: int) -> int:
    """The nearest multiple of 16 pixels, and at least 16; a tie goes down."""
    return max(SIZE_MULTIPLE, (size_px + SIZE_MULTIPLE // 2 - 1) // SIZE_MULTIPLE * SIZE_MULTIPLE)
