"""How much memory the VAE's stream takes while it computes, in bytes, weights aside.

The most is held in the residual blocks of full size: three tensors of the chunk at once, two earlier frames
in one of them, and the last two frames of what each convolution saw. All of it counts in pictures: one frame
of full size, as wide as the VAE's narrowest layers (96 channels in Wan 2.1's).

Where frames are convolved side by side, the convolution's input exists three times more. Whether the blocks
are compiled changes little then (measured with torch 2.11 on an H100, chunks of 1, 2 and 4).
"""

from .geometry import TIME_STRIDE

TENSORS = 3
SIDE_BY_SIDE_TENSORS = 6
JOINED_PICTURES = 2
DECODER_PAST_PICTURES = 28
ENCODER_PAST_PICTURES = 19


def decode_bytes(
    width: int,
    height_px: int,
    width_px: int,
    latents_per_chunk: int,
    item_bytes: int,
    *,
    side_by_side: bool = False,
) -> int:
    """Peak of a decode by chunks.

    Args:
        width: channels of the VAE's narrowest layers.
        height_px: height of the video.
        width_px: width of the video.
        latents_per_chunk: latent frames of a chunk.
        item_bytes: bytes of a number.
        side_by_side: frames are convolved so; see vae_layers.is_side_by_side.
    """
    pictures = _chunk_pictures(latents_per_chunk, side_by_side=side_by_side) + DECODER_PAST_PICTURES
    return pictures * width * height_px * width_px * item_bytes


def encode_bytes(
    width: int,
    height_px: int,
    width_px: int,
    latents_per_chunk: int,
    item_bytes: int,
    *,
    side_by_side: bool = False,
) -> int:
    """Peak of an encode by chunks, with two copies of its frames; see decode_bytes."""
    pictures = _chunk_pictures(latents_per_chunk, side_by_side=side_by_side) + ENCODER_PAST_PICTURES
    frame_channels = 2 * 3 * TIME_STRIDE * latents_per_chunk
    return (pictures * width + frame_channels) * height_px * width_px * item_bytes


def _chunk_pictures(latents_per_chunk: int, *, side_by_side: bool) -> int:
    tensors = SIDE_BY_SIDE_TENSORS if side_by_side else TENSORS
    return tensors * TIME_STRIDE * latents_per_chunk + JOINED_PICTURES
