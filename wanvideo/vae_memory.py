"""How much memory the VAE's stream takes while it computes, in bytes, weights aside.

The most is held in the residual blocks of full size: three tensors of the chunk at once, two earlier frames
in one of them, and the last two frames of what each convolution saw. All of it counts in pictures: one frame
of full size, as wide as the VAE's narrowest layers (96 channels in Wan 2.1's).

Where frames are convolved side by side, the convolution's input exists three times more. Whether the blocks
are compiled changes little then (measured with torch 2.11 on an H100, chunks of 1, 2 and 4).
"""

from dataclasses import dataclass

from .geometry import TIME_STRIDE

TENSORS = 3
SIDE_BY_SIDE_TENSORS = 6
JOINED_PICTURES = 2
DECODER_PAST_PICTURES = 28
ENCODER_PAST_PICTURES = 19


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """What the memory of a chunk depends on.

    Attributes:
        width: channels of the VAE's narrowest layers.
        height_px: height of the video.
        width_px: width of the video.
        latents: latent frames of a chunk.
        item_bytes: bytes of a number.
        side_by_side: frames are convolved so; see vae_layers.is_side_by_side.
    """

    width: int
    height_px: int
    width_px: int
    latents: int
    item_bytes: int
    side_by_side: bool = False


def decode_bytes(size: ChunkSize) -> int:
    """Peak of a decode by chunks."""
    return (_chunk_pictures(size) + DECODER_PAST_PICTURES) * size.width * _value_bytes(size)


def encode_bytes(size: ChunkSize) -> int:
    """Peak of an encode by chunks, with two copies of its frames."""
    pictures = _chunk_pictures(size) + ENCODER_PAST_PICTURES
    frame_channels = 2 * 3 * TIME_STRIDE * size.latents
    return (pictures * size.width + frame_channels) * _value_bytes(size)


def _chunk_pictures(size: ChunkSize) -> int:
    tensors = SIDE_BY_SIDE_TENSORS if size.side_by_side else TENSORS
    return tensors * TIME_STRIDE * size.latents + JOINED_PICTURES


def _value_bytes(size: ChunkSize) -> int:
    """Of one channel of a picture."""
    return size.height_px * size.width_px * size.item_bytes
