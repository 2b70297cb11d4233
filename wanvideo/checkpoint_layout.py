"""The kinds of model files that people have at hand, and the weights' names that give each away."""

from enum import Enum

from .header import CheckpointHeader

MODEL_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "")
SCALED_FP8_MARKER = "scaled_fp8"
SCALE_SUFFIX = ".scale_weight"

TALK_MARKS = ("audio_proj.proj1.weight", "blocks.0.audio_cross_attn.q_linear.weight")

LORA_MARKS = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lokr_", ".hada_", ".diff_b.", ".diff.")
"""Parts of names with a dot added at the end, as LoRA trainers write them."""


class CheckpointKind(Enum):
    """What a model file can be; the value completes "this file is ..."."""

    WAN21_I2V = "a Wan 2.1 image-to-video model"
    WAN_T2V = "a Wan text-to-video model"
    WAN22_I2V = "a Wan 2.2 image-to-video model"
    WAN22_TI2V = "a Wan 2.2 TI2V-5B model"
    WAN_FLF2V = "a Wan first-last-frame model"
    WAN_VACE = "a Wan VACE model"
    WAN_FUN_CONTROL = "a Wan Fun-Control model"
    WAN_FUN_CAMERA = "a Wan Fun-Camera model"
    WAN_S2V = "a Wan 2.2 S2V model"
    WAN_HUMO = "a Wan HuMo model"
    WAN_ANIMATE = "a Wan Animate model"
    TALK_WEIGHTS = "a talk model (InfiniteTalk or MultiTalk audio weights)"
    LORA = "a LoRA"
    WAV2VEC2 = "a wav2vec2 speech encoder"
    WAN_VAE = "a Wan VAE"
    CLIP_VISION = "a CLIP vision model"
    UMT5 = "a T5 text encoder"
    UNKNOWN = "of no kind that EverTalk knows"


SPECIAL_WAN_MARKS = {
    "vace_patch_embedding.weight": CheckpointKind.WAN_VACE,
    "control_adapter.conv.weight": CheckpointKind.WAN_FUN_CAMERA,
    "casual_audio_encoder.encoder.final_linear.weight": CheckpointKind.WAN_S2V,
    "audio_proj.audio_proj_glob_1.layer.bias": CheckpointKind.WAN_HUMO,
    "face_adapter.fuser_blocks.0.k_norm.weight": CheckpointKind.WAN_ANIMATE,
    "img_emb.emb_pos": CheckpointKind.WAN_FLF2V,
    "ref_conv.weight": CheckpointKind.WAN_FUN_CONTROL,
}
"""Weights that only one variant of the Wan transformer has."""

COMPANION_MARKS = {
    "feature_extractor.conv_layers.0.conv.weight": CheckpointKind.WAV2VEC2,
    "wav2vec2.feature_extractor.conv_layers.0.conv.weight": CheckpointKind.WAV2VEC2,
    "decoder.middle.0.residual.0.gamma": CheckpointKind.WAN_VAE,
    "vision_model.encoder.layers.0.layer_norm1.weight": CheckpointKind.CLIP_VISION,
    "visual.transformer.resblocks.0.attn.in_proj_weight": CheckpointKind.CLIP_VISION,
    "encoder.block.0.layer.0.SelfAttention.q.weight": CheckpointKind.UMT5,
    "blocks.0.attn.q.weight": CheckpointKind.UMT5,
}
"""Weights of the models that stand beside the transformer, in the spellings in circulation."""

FOLDERS = {
    CheckpointKind.TALK_WEIGHTS: "models/model_patches",
    CheckpointKind.LORA: "models/loras",
    CheckpointKind.WAV2VEC2: "models/audio_encoders",
    CheckpointKind.WAN_VAE: "models/vae",
    CheckpointKind.CLIP_VISION: "models/clip_vision",
    CheckpointKind.UMT5: "models/text_encoders",
}
"""Where ComfyUI looks for a file of a kind; the Wan transformers belong into models/diffusion_models."""

TRANSFORMER_FOLDER = "models/diffusion_models"


def companion_kind(header: CheckpointHeader) -> tuple[CheckpointKind, str]:
    """The kind of a file that is not a transformer, with the key that says so."""
    for mark, kind in COMPANION_MARKS.items():
        if mark in header.tensors:
            return kind, f"has {mark}"
    first = next(iter(header.tensors), None)
    return CheckpointKind.UNKNOWN, "it holds no tensor" if first is None else f"its first key is {first[:80]}"


def folder_of(kind: CheckpointKind) -> str | None:
    """The folder that a file of this kind belongs into, or None if it is unknown."""
    if kind is CheckpointKind.UNKNOWN:
        return None
    return FOLDERS.get(kind, TRANSFORMER_FOLDER)
