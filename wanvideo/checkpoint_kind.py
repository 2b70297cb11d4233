"""Tells from names and shapes what a model file is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .checkpoint_layout import (
    LORA_MARKS,
    MODEL_PREFIXES,
    SPECIAL_WAN_MARKS,
    TALK_MARKS,
    CheckpointKind,
    companion_kind,
)
from .header import CheckpointHeader
from .quantised_layers import QuantisedLayer, formats_of, logical_shape, quantised_layers

I2V_CHANNELS = 36
"""16 of noise, 4 of mask, 16 of the picture's latent (Wan 2.1 and 2.2 I2V)."""

TI2V_CHANNELS = 48
"""The latent of the Wan 2.2 VAE."""


@dataclass(frozen=True, slots=True)
class WanDims:
    """The sizes of a Wan transformer, read from its shapes."""

    dim: int
    num_layers: int
    ffn_dim: int
    text_dim: int
    in_channels: int
    out_channels: int


@dataclass(frozen=True, slots=True)
class CheckpointDescription:
    """What a model file is.

    Attributes:
        file_name: the file's name, for messages.
        kind: what it is.
        evidence: the names or sizes that say so, for messages.
        prefix: what comes before every weight's name, e.g. `diffusion_model.`; may be empty.
        wan: the sizes, if it is a Wan transformer; else None.
        has_talk_weights: the audio weights of InfiniteTalk or MultiTalk are in the file.
        layers: those of its layers that are quantised, by their full names.
    """

    file_name: str
    kind: CheckpointKind
    evidence: str
    prefix: str = ""
    wan: WanDims | None = None
    has_talk_weights: bool = False
    layers: Mapping[str, QuantisedLayer] = field(default_factory=dict[str, QuantisedLayer])

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of the quantised layers, each once."""
        return formats_of(self.layers)


def describe_checkpoint(header: CheckpointHeader) -> CheckpointDescription:
    """What the file with this header is; `CheckpointKind.UNKNOWN` if nothing known. Raises nothing."""
    names = header.tensors.keys()
    layers = quantised_layers(header)
    lora_mark = next((mark for mark in LORA_MARKS if any(mark in f"{name}." for name in names)), None)
    if lora_mark is not None:
        evidence = f"{lora_mark.strip('.')} keys"
        return CheckpointDescription(header.file_name, CheckpointKind.LORA, evidence)
    prefix = _prefix_of(header)
    has_talk = all(prefix + mark in names for mark in TALK_MARKS)
    wan = _wan_dims(header, prefix, layers)
    if wan is not None:
        kind, evidence = _wan_kind(header, prefix, wan)
        return CheckpointDescription(header.file_name, kind, evidence, prefix, wan, has_talk, layers)
    if has_talk:
        return CheckpointDescription(
            header.file_name,
            CheckpointKind.TALK_WEIGHTS,
            "audio_cross_attn and audio_proj keys",
            prefix,
            has_talk_weights=True,
            layers=layers,
        )
    kind, evidence = companion_kind(header)
    return CheckpointDescription(header.file_name, kind, evidence, layers=layers)


def _prefix_of(header: CheckpointHeader) -> str:
    """The longest known prefix that some weight carries before a name of a Wan model or of talk weights."""
    marks = ("head.modulation", *TALK_MARKS)
    for prefix in MODEL_PREFIXES:
        if any(prefix + mark in header.tensors for mark in marks):
            return prefix
    return ""


def _wan_dims(header: CheckpointHeader, prefix: str, layers: Mapping[str, QuantisedLayer]) -> WanDims | None:
    """The sizes of a Wan transformer, or None if a weight that every one has is missing or misshapen."""
    needed = {
        "head.modulation": 3,
        "head.head.weight": 2,
        "patch_embedding.weight": 5,
        "blocks.0.ffn.0.weight": 2,
        "text_embedding.0.weight": 2,
    }
    for name, num_axes in needed.items():
        info = header.tensors.get(prefix + name)
        if info is None or len(info.shape) != num_axes:
            return None
    patch = header.shape(f"{prefix}patch_embedding.weight")
    return WanDims(
        dim=header.shape(f"{prefix}head.modulation")[-1],
        num_layers=count_blocks(header, prefix),
        ffn_dim=header.shape(f"{prefix}blocks.0.ffn.0.weight")[0],
        text_dim=logical_shape(header, layers, f"{prefix}text_embedding.0.weight")[1],
        in_channels=patch[1],
        out_channels=header.shape(f"{prefix}head.head.weight")[0] // (patch[2] * patch[3] * patch[4] or 1),
    )


def count_blocks(header: CheckpointHeader, prefix: str) -> int:
    """How many transformer blocks (`blocks.0`, `blocks.1`, ... without a gap) the file has weights of."""
    start = f"{prefix}blocks."
    found = {name[len(start) :].split(".", 1)[0] for name in header.tensors if name.startswith(start)}
    count = 0
    while str(count) in found:
        count += 1
    return count


def _wan_kind(header: CheckpointHeader, prefix: str, wan: WanDims) -> tuple[CheckpointKind, str]:
    for mark, kind in SPECIAL_WAN_MARKS.items():
        if prefix + mark in header.tensors:
            return kind, f"{mark.rsplit('.', 1)[0]} keys"
    has_img_emb = f"{prefix}img_emb.proj.1.weight" in header.tensors
    channels = f"{wan.in_channels} input channels, {'with' if has_img_emb else 'without'} img_emb keys"
    if wan.in_channels == I2V_CHANNELS:
        return (CheckpointKind.WAN21_I2V if has_img_emb else CheckpointKind.WAN22_I2V), channels
    if wan.in_channels == wan.out_channels:
        is_ti2v = wan.in_channels == TI2V_CHANNELS
        return (CheckpointKind.WAN22_TI2V if is_ti2v else CheckpointKind.WAN_T2V), channels
    return CheckpointKind.WAN_FUN_CONTROL, channels
