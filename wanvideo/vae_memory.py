"""How much memory the VAE's stream takes while it computes, in bytes, weights aside.

The most is held in the residual blocks of full size: three tensors of the chunk at once, two earlier frames
in one of them, and the last two frames of what each convolution saw. All of it counts in pictures: one frame
of full size, as wide as the VAE's narrowest layers (96 channels in Wan 2.1's).

A compiled residual block holds one tensor of the chunk more (measured with torch 2.11, chunks of 1 and 4): it
copies the earlier frames of both convolutions at its start, so that the second one's input exists while the
first one's is still read.
"""

from .geometry import TIME_STRIDE

TENSORS = 3
COMPILED_TENSORS = 4
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
    compiled: bool = False,
) -> int:
    """Peak of a decode by chunks.

    Args:
        width: channels of the VAE's narrowest layers.
        height_px: height of the video.
        width_px: width of the video.
        latents_per_chunk: latent frames of a chunk.
        item_bytes: bytes of a number.
        compiled: the residual blocks are compiled.
    """
    tensors = COMPILED_TENSORS if compiled else TENSORS
    pictures = _chunk_pictures(latents_per_chunk, tensors) + DECODER_PAST_PICTURES
    return pictures * width * height_px * width_px * item_bytes


def encode_bytes(width: int, height_px: int, width_px: int, latents_per_chunk: int, item_bytes: int) -> int:
    """Peak of an encode by chunks, with two copies of its frames; see decode_bytes."""
    pictures = _chunk_pictures(latents_per_chunk, TENSORS) + ENCODER_PAST_PICTURES
    frame_channels = 2 * 3 * TIME_STRIDE * latents_per_chunk
    return (pictures * width + frame_channels) * height_px * width_px * item_bytes


def _chunk_pictures(latents_per_chunk: int, tensors: int) -> int:
    return tensors * TIME_STRIDE * latents_per_chunk + JOINED_PICTURES
