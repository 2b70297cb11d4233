"""What the talk weights' shapes say, and whether they fit a base model.

The same modules serve InfiniteTalk, MultiTalk, FlashTalk and SkyReels; only the values differ, so shapes
cannot tell which they are (origin.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ...wanvideo.checkpoint_kind import CheckpointDescription, count_blocks
from ...wanvideo.errors import CheckpointError
from ...wanvideo.header import CheckpointHeader
from ...wanvideo.quantised_layers import QuantisedLayer, logical_shape
from ..common.types import CONTEXT_FRAMES

VAE_SCALE_FRAMES = 8
"""Encoder frames that the projector sees for a group of four video frames: 3 + 1 + 1 + 3."""

TALK_PARTS = ("audio_proj.", ".audio_cross_attn.", ".norm_x.")
"""What the names of talk weights contain, in a file of their own or merged into a base."""

TalkMode = Literal["infinitetalk", "multitalk", "flashtalk", "skyreels"]
TALK_MODES: tuple[TalkMode, ...] = get_args(TalkMode)

NAMED: Mapping[str, TalkMode] = {
    "flashtalk": "flashtalk",
    "skyreels": "skyreels",
    "infinite": "infinitetalk",
    "multitalk": "multitalk",
}
"""What a file's name holds, in small letters, and whose weights that speaks of; the first counts."""


@dataclass(frozen=True, slots=True)
class TalkConfig:
    """The sizes of a talk model.

    Attributes:
        dim: width of the transformer it was made for.
        num_layers: transformer blocks it has audio attention for.
        feature_dim: encoder layers x channels of one frame of speech (12 x 768 = 9216 for the real weights);
            the shapes give the product only.
        intermediate_dim: width of the projector's hidden layers.
        context_tokens: audio tokens a latent frame.
        output_dim: width of an audio token.
        prefix: what comes before every weight's name.
    """

    dim: int
    num_layers: int
    feature_dim: int
    intermediate_dim: int
    context_tokens: int
    output_dim: int
    prefix: str = ""


def read_talk_config(header: CheckpointHeader, description: CheckpointDescription) -> TalkConfig:
    """The sizes of the talk weights in a file that has them, each held plainly or quantised.

    Raises:
        CheckpointError: a weight or a scale is missing, or two shapes contradict each other.
    """
    prefix, layers = description.prefix, description.layers
    q_shape = _matrix(header, layers, f"{prefix}blocks.0.audio_cross_attn.q_linear.weight")
    proj1 = _matrix(header, layers, f"{prefix}audio_proj.proj1.weight")
    proj3 = _matrix(header, layers, f"{prefix}audio_proj.proj3.weight")
    kv = _matrix(header, layers, f"{prefix}blocks.0.audio_cross_attn.kv_linear.weight")
    config = TalkConfig(
        dim=q_shape[0],
        num_layers=count_blocks(header, prefix),
        feature_dim=proj1[1] // CONTEXT_FRAMES,
        intermediate_dim=proj1[0],
        context_tokens=proj3[0] // max(kv[1], 1),
        output_dim=kv[1],
        prefix=prefix,
    )
    for name, shape in talk_shapes(config).items():
        if prefix + name not in header.tensors:
            raise _unusable(header, f"`{name}` is missing")
        found = logical_shape(header, layers, prefix + name)
        if found != shape:
            raise _unusable(header, f"`{name}` has the shape {list(found)}, not {list(shape)}")
    for layer, quantised in talk_layers(description).items():
        for scale in quantised.scales:
            if f"{prefix}{layer}.{scale}" not in header.tensors:
                raise _unusable(header, f"`{layer}.{scale}` is missing")
    return config


def talk_layers(description: CheckpointDescription) -> dict[str, QuantisedLayer]:
    """The quantised layers among the talk weights of a file, by their names without prefix."""
    return {
        bare: layer
        for name, layer in description.layers.items()
        if (bare := strip_prefix(name, description.prefix)) is not None
    }


def talk_shapes(config: TalkConfig) -> dict[str, tuple[int, ...]]:
    """Every weight of a talk model of these sizes, by name without prefix, with its shape."""
    dim, hidden, out = config.dim, config.intermediate_dim, config.output_dim
    tokens_out = config.context_tokens * out
    shapes = _linear("audio_proj.proj1", CONTEXT_FRAMES * config.feature_dim, hidden)
    shapes |= _linear("audio_proj.proj1_vf", VAE_SCALE_FRAMES * config.feature_dim, hidden)
    shapes |= _linear("audio_proj.proj2", hidden, hidden) | _linear("audio_proj.proj3", hidden, tokens_out)
    shapes |= {"audio_proj.norm.weight": (out,), "audio_proj.norm.bias": (out,)}
    for index in range(config.num_layers):
        attention = f"blocks.{index}.audio_cross_attn"
        shapes |= {f"blocks.{index}.norm_x.weight": (dim,), f"blocks.{index}.norm_x.bias": (dim,)}
        shapes |= _linear(f"{attention}.q_linear", dim, dim) | _linear(f"{attention}.kv_linear", out, 2 * dim)
        shapes |= _linear(f"{attention}.proj", dim, dim)
    return shapes


def strip_prefix(name: str, prefix: str) -> str | None:
    """The name of a talk weight without its file's prefix, or None if `name` is not a talk weight."""
    bare = name.removeprefix(prefix)
    return bare if any(part in f".{bare}" for part in TALK_PARTS) else None


@dataclass(frozen=True, slots=True)
class BaseSize:
    """The size of a base model, and what it is called in messages."""

    name: str
    dim: int
    num_layers: int


def check_fits(base: BaseSize, talk_name: str, talk: TalkConfig) -> None:
    """Refuse a talk model that was made for a base of another size.

    Raises:
        CheckpointError: the width or the number of blocks differs.
    """
    if (base.dim, base.num_layers) != (talk.dim, talk.num_layers):
        raise CheckpointError(
            f"`{talk_name}` was made for {_size(talk.dim, talk.num_layers)}, but the base model "
            f"`{base.name}` has {_size(base.dim, base.num_layers)}. Choose a talk model made for a base of "
            f"width {base.dim}, or a Wan 2.1 I2V 14B base (width 5120, 40 blocks)."
        )


def mode_from_name(file_name: str) -> TalkMode | None:
    """Which weights a file's name speaks of, or None."""
    name = file_name.lower()
    return next((mode for part, mode in NAMED.items() if part in name), None)


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _matrix(header: CheckpointHeader, layers: Mapping[str, QuantisedLayer], name: str) -> tuple[int, int]:
    if name not in header.tensors:
        raise _unusable(header, f"`{name}` is missing")
    shape = logical_shape(header, layers, name)
    if len(shape) != 2:
        raise _unusable(header, f"`{name}` has the shape {list(shape)}, which is not a matrix")
    return shape[0], shape[1]


def _size(dim: int, num_layers: int) -> str:
    return f"a width of {dim} and {num_layers} blocks"


def _unusable(header: CheckpointHeader, what: str) -> CheckpointError:
    return CheckpointError(
        f"`{header.file_name}` is not a whole talk model: {what}. Delete it and download it again."
    )
