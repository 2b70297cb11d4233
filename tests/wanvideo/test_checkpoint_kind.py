import pytest
from evertalk_pack.wanvideo.checkpoint_kind import WanDims, count_blocks, describe_checkpoint
from evertalk_pack.wanvideo.checkpoint_layout import CheckpointKind, folder_of
from evertalk_pack.wanvideo.header import CheckpointHeader, TensorInfo

Shapes = dict[str, tuple[int, ...]]


def header(shapes: Shapes, prefix: str = "") -> CheckpointHeader:
    tensors = {prefix + name: TensorInfo("F16", shape) for name, shape in shapes.items()}
    return CheckpointHeader("x.safetensors", tensors)


def wan(in_channels: int = 36, out_channels: int = 16, *, img_emb: bool = True, layers: int = 3) -> Shapes:
    shapes: Shapes = {
        "head.modulation": (1, 2, 256),
        "head.head.weight": (out_channels * 4, 256),
        "patch_embedding.weight": (256, in_channels, 1, 2, 2),
        "text_embedding.0.weight": (256, 4096),
    }
    for index in range(layers):
        shapes[f"blocks.{index}.ffn.0.weight"] = (512, 256)
    if img_emb:
        shapes["img_emb.proj.1.weight"] = (1280, 1280)
    return shapes


TALK: Shapes = {
    "audio_proj.proj1.weight": (512, 46080),
    "blocks.0.audio_cross_attn.q_linear.weight": (256, 256),
}


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "model.diffusion_model."])
def test_reads_the_sizes_of_a_wan21_i2v_base_under_any_prefix(prefix: str) -> None:
    found = describe_checkpoint(header(wan(), prefix))
    assert found.kind is CheckpointKind.WAN21_I2V
    assert found.prefix == prefix
    assert found.wan == WanDims(256, 3, 512, 4096, 36, 16)
    assert not found.has_talk_weights
    assert not found.formats


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [
        (wan(16, img_emb=False), CheckpointKind.WAN_T2V),
        (wan(36, img_emb=False), CheckpointKind.WAN22_I2V),
        (wan(48, 48, img_emb=False), CheckpointKind.WAN22_TI2V),
        (wan(48), CheckpointKind.WAN_FUN_CONTROL),
        (
            wan(16, img_emb=False) | {"vace_patch_embedding.weight": (256, 96, 1, 2, 2)},
            CheckpointKind.WAN_VACE,
        ),
        (wan() | {"control_adapter.conv.weight": (256, 1536, 2, 2)}, CheckpointKind.WAN_FUN_CAMERA),
        (wan() | {"img_emb.emb_pos": (1, 514, 1280)}, CheckpointKind.WAN_FLF2V),
        (wan() | {"audio_proj.audio_proj_glob_1.layer.bias": (512,)}, CheckpointKind.WAN_HUMO),
        (wan() | {"face_adapter.fuser_blocks.0.k_norm.weight": (128,)}, CheckpointKind.WAN_ANIMATE),
        (wan() | {"casual_audio_encoder.encoder.final_linear.weight": (4, 4)}, CheckpointKind.WAN_S2V),
        (TALK, CheckpointKind.TALK_WEIGHTS),
        ({"diffusion_model.blocks.0.self_attn.q.lora_down.weight": (32, 256)}, CheckpointKind.LORA),
        ({"blocks.0.self_attn.q.lora_A.weight": (32, 256)}, CheckpointKind.LORA),
        ({"blocks.0.self_attn.q.diff_b": (256,)}, CheckpointKind.LORA),
        ({"feature_extractor.conv_layers.0.conv.weight": (512, 1, 10)}, CheckpointKind.WAV2VEC2),
        ({"wav2vec2.feature_extractor.conv_layers.0.conv.weight": (512, 1, 10)}, CheckpointKind.WAV2VEC2),
        ({"decoder.middle.0.residual.0.gamma": (384, 1, 1, 1)}, CheckpointKind.WAN_VAE),
        ({"vision_model.encoder.layers.0.layer_norm1.weight": (1280,)}, CheckpointKind.CLIP_VISION),
        ({"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096)}, CheckpointKind.UMT5),
        ({"something.else": (1,)}, CheckpointKind.UNKNOWN),
        ({}, CheckpointKind.UNKNOWN),
    ],
)
def test_tells_kinds_apart(shapes: Shapes, kind: CheckpointKind) -> None:
    assert describe_checkpoint(header(shapes)).kind is kind


def test_a_base_with_talk_weights_merged_in_is_both() -> None:
    found = describe_checkpoint(header(wan() | TALK, "diffusion_model."))
    assert found.kind is CheckpointKind.WAN21_I2V
    assert found.has_talk_weights


def test_sizes_are_those_of_the_numbers_where_two_stand_in_a_byte() -> None:
    whole = header(wan())
    tensors = dict(whole.tensors)
    remarks = {}
    for name in ("blocks.0.ffn.0", "blocks.1.ffn.0", "text_embedding.0"):
        rows, columns = whole.shape(f"{name}.weight")
        tensors[f"{name}.weight"] = TensorInfo("U8", (rows, columns // 2))
        remarks[name] = {"format": "nvfp4"}
    found = describe_checkpoint(CheckpointHeader("x.safetensors", tensors, remarks=remarks))
    assert found.kind is CheckpointKind.WAN21_I2V
    assert found.wan == WanDims(256, 3, 512, 4096, 36, 16)
    assert found.formats == ("nvfp4",)


def test_a_misshapen_wan_model_is_unknown_and_not_a_crash() -> None:
    assert (
        describe_checkpoint(header(wan() | {"patch_embedding.weight": (256,)})).kind is CheckpointKind.UNKNOWN
    )


def test_blocks_are_counted_up_to_the_first_gap() -> None:
    assert count_blocks(header({f"blocks.{index}.norm3.weight": (8,) for index in (0, 1, 2, 4)}), "") == 3


def test_says_where_a_file_belongs() -> None:
    assert folder_of(CheckpointKind.LORA) == "models/loras"
    assert folder_of(CheckpointKind.WAN_VACE) == "models/diffusion_models"
    assert folder_of(CheckpointKind.UNKNOWN) is None
