"""A tiny Wan 2.1 I2V transformer that is wired by hand to show the still picture.

It computes v = (x - picture) / sigma, the right answer when the data is the picture, through the real
architecture:
- The patch embedding copies the noisy latent, the picture's latent and the mask into parts of the residual
  stream, beside constants so large that every LayerNorm divides by the same number.
- Head 0 of block 0's self-attention fetches, for every token, the picture's latent from the same place in the
  frame that the mask marks: constant queries and keys whose rotary phases agree nowhere else.
- The time embedding is fitted to 1 / sigma, which scales the head's output.
- All else (text, CLIP, feed-forward, audio) is faint noise, so that every input has its say.
"""

import math

import torch

DIM = 256
HEAD_DIM = 128
NUM_LAYERS = 2
FFN_DIM = 512
TEXT_DIM = 4096
CLIP_DIM = 1280
TIME_DIM = 256
IN_CHANNELS = 36
LATENT_CHANNELS = 16
PATCH_PIXELS = 4
"""The transformer's patch is 1 x 2 x 2."""

NOISY = slice(0, 64)
PICTURE = slice(64, 128)
FETCHED = slice(128, 192)
MASK = 192
BALANCE = 193
"""Holds minus the sum of all content, so that the LayerNorm's mean is zero."""
CONSTANTS = slice(194, 254)

LARGE = 32.0
STREAM_STD = LARGE * math.sqrt(60 / DIM)
"""What every LayerNorm divides by: 60 of 256 channels are plus or minus LARGE, the rest is near 1."""

AXES = (44, 42, 42)
"""Channels of a head that the rotary embedding gives to time, rows and columns."""
ROTARY_PAIRS = 8
"""The fastest rotary pairs of an axis; these tell neighbours apart."""
SHARPNESS = 20.0
FAINT = 0.02
MIN_SIGMA = 0.05
"""Below this noise level the gain 1 / sigma stops growing."""

Weights = dict[str, torch.Tensor]


def make_transformer(generator: torch.Generator) -> Weights:
    """The weights of the tiny transformer, with the names of Wan 2.1 I2V's, in float16 as the real ones."""
    weights = _patch_embedding() | _time_embedding(generator) | _context_embeddings(generator) | _head()
    for index in range(NUM_LAYERS):
        weights |= _block(generator, f"blocks.{index}", fetches=index == 0)
    return {name: tensor.half().contiguous() for name, tensor in weights.items()}


def _patch_embedding() -> Weights:
    kernel = torch.zeros(DIM, IN_CHANNELS, PATCH_PIXELS)
    for pixel in range(PATCH_PIXELS):
        for channel in range(LATENT_CHANNELS):
            feature = pixel * LATENT_CHANNELS + channel
            kernel[NOISY.start + feature, channel, pixel] = 1
            kernel[PICTURE.start + feature, LATENT_CHANNELS + 4 + channel, pixel] = 1
    kernel[MASK, LATENT_CHANNELS : LATENT_CHANNELS + 4] = 1 / 16
    kernel[BALANCE] = -kernel.sum(0)
    bias = torch.zeros(DIM)
    bias[CONSTANTS] = LARGE * torch.tensor([1.0, -1.0]).repeat(30)
    return {"patch_embedding.weight": kernel.reshape(DIM, IN_CHANNELS, 1, 2, 2), "patch_embedding.bias": bias}


def _time_embedding(generator: torch.Generator) -> Weights:
    """1 / sigma - 1 on the channels that the head reads: least squares on random features of the timestep."""
    first = normal(generator, (DIM, TIME_DIM), 0.3).half().double()
    first_bias = normal(generator, (DIM,), 0.5).half().double()
    sigma = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)
    frequencies = 10000.0 ** (-torch.arange(TIME_DIM // 2, dtype=torch.float64) / (TIME_DIM // 2))
    angles = 1000 * sigma[:, None] * frequencies
    hidden = torch.nn.functional.silu(torch.cat([angles.cos(), angles.sin()], 1) @ first.T + first_bias)
    # the product with sigma is what the sampler sees, so that is where the error is made small
    weight = sigma.clamp(MIN_SIGMA)[:, None]
    gain = 1 / weight - 1
    rows = torch.cat([hidden, torch.ones(1001, 1, dtype=torch.float64)], 1)
    ridge = 1e-3 * torch.eye(rows.shape[1], dtype=torch.float64)
    rows *= weight
    solution = torch.linalg.solve(rows.T @ rows + ridge, rows.T @ (gain * weight))
    second, second_bias = torch.zeros(DIM, DIM), torch.zeros(DIM)
    for part in (NOISY, FETCHED):
        second[part], second_bias[part] = solution[:-1].T.float(), solution[-1].float()
    return {
        "time_embedding.0.weight": first,
        "time_embedding.0.bias": first_bias,
        "time_embedding.2.weight": second,
        "time_embedding.2.bias": second_bias,
        "time_projection.1.weight": normal(generator, (6 * DIM, DIM), 1e-6),
        "time_projection.1.bias": torch.zeros(6 * DIM),
    }


def _context_embeddings(generator: torch.Generator) -> Weights:
    weights = linear(generator, "text_embedding.0", TEXT_DIM, DIM) | linear(
        generator, "text_embedding.2", DIM, DIM
    )
    weights |= norm("img_emb.proj.0", CLIP_DIM) | linear(generator, "img_emb.proj.1", CLIP_DIM, CLIP_DIM)
    return weights | linear(generator, "img_emb.proj.3", CLIP_DIM, DIM) | norm("img_emb.proj.4", DIM)


def _head() -> Weights:
    matrix = torch.zeros(LATENT_CHANNELS * PATCH_PIXELS, DIM)
    features = torch.arange(LATENT_CHANNELS * PATCH_PIXELS)
    matrix[features, NOISY.start + features] = STREAM_STD
    matrix[features, FETCHED.start + features] = -STREAM_STD
    return {
        "head.head.weight": matrix,
        "head.head.bias": torch.zeros(matrix.shape[0]),
        "head.modulation": torch.zeros(1, 2, DIM),
    }


def _block(generator: torch.Generator, name: str, *, fetches: bool) -> Weights:
    modulation = torch.zeros(1, 6, DIM)
    modulation[:, 2] = modulation[:, 5] = 1  # the gates of attention and feed-forward
    weights = {f"{name}.modulation": modulation} | norm(f"{name}.norm3", DIM)
    weights |= _attention(generator, f"{name}.self_attn") | _attention(generator, f"{name}.cross_attn")
    for part in ("k_img", "v_img"):
        weights |= linear(generator, f"{name}.cross_attn.{part}", DIM, DIM)
    weights[f"{name}.cross_attn.norm_k_img.weight"] = torch.ones(DIM)
    weights |= linear(generator, f"{name}.ffn.0", DIM, FFN_DIM)
    weights |= linear(generator, f"{name}.ffn.2", FFN_DIM, DIM, gain=FAINT)
    if fetches:
        _wire_fetch(weights, f"{name}.self_attn")
    return weights


def _wire_fetch(weights: Weights, name: str) -> None:
    """Make head 0 copy the marked frame's PICTURE at the token's own place into FETCHED."""
    place = torch.zeros(HEAD_DIM)
    for start in (AXES[0], AXES[0] + AXES[1]):
        place[start : start + 2 * ROTARY_PAIRS : 2] = 1
    slow, rest = AXES[0] - 2, AXES[0] - 4  # rotary pairs of time so slow that they hardly turn
    head = slice(0, HEAD_DIM)
    for part in ("q", "k"):
        weights[f"{name}.{part}.weight"][head] = 0
        weights[f"{name}.{part}.bias"][head] = place
        weights[f"{name}.norm_{part}.weight"][head] = SHARPNESS
    weights[f"{name}.q.bias"][slow] = 1
    # (mask, 1 - mask) has the same length for 0 and 1, so that the key's norm is the same in every frame
    weights[f"{name}.k.weight"][slow, MASK] = STREAM_STD
    weights[f"{name}.k.weight"][rest, MASK] = -STREAM_STD
    weights[f"{name}.k.bias"][rest] = 1
    features = torch.arange(64)
    weights[f"{name}.v.weight"][head] = 0
    weights[f"{name}.v.weight"][features, PICTURE.start + features] = STREAM_STD
    weights[f"{name}.v.bias"][head] = 0
    weights[f"{name}.o.weight"][:, head] = 0
    weights[f"{name}.o.weight"][FETCHED.start + features, features] = 1
    weights[f"{name}.o.weight"][BALANCE, features] = -1


def _attention(generator: torch.Generator, name: str) -> Weights:
    weights = linear(generator, f"{name}.q", DIM, DIM) | linear(generator, f"{name}.k", DIM, DIM)
    weights |= linear(generator, f"{name}.v", DIM, DIM) | linear(generator, f"{name}.o", DIM, DIM, gain=FAINT)
    return weights | {f"{name}.norm_q.weight": torch.ones(DIM), f"{name}.norm_k.weight": torch.ones(DIM)}


def linear(generator: torch.Generator, name: str, inputs: int, outputs: int, *, gain: float = 1.0) -> Weights:
    """A random layer without bias that multiplies the spread of what comes in by `gain`."""
    weight = normal(generator, (outputs, inputs), gain * inputs**-0.5)
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(outputs)}


def norm(name: str, width: int) -> Weights:
    """A norm that changes nothing more: weight 1, bias 0."""
    return {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}


def normal(generator: torch.Generator, shape: tuple[int, ...], std: float) -> torch.Tensor:
    """Seeded normal numbers."""
    return torch.randn(shape, generator=generator) * std
