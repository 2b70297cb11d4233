from dataclasses import replace
from pathlib import Path

import pytest
from evertalk_pack.multitalk.model.checkpoint import (
    BaseSize,
    TalkConfig,
    check_fits,
    mode_from_name,
    read_talk_config,
    strip_prefix,
    talk_layers,
    talk_shapes,
)
from evertalk_pack.wanvideo.checkpoint import read_header
from evertalk_pack.wanvideo.checkpoint_kind import describe_checkpoint
from evertalk_pack.wanvideo.errors import CheckpointError
from evertalk_pack.wanvideo.header import CheckpointHeader, TensorInfo

GOLDENS = Path(__file__).resolve().parents[2] / "goldens" / "public"
SMALL = TalkConfig(256, 2, 96, 24, 4, 48)


def header(config: TalkConfig, prefix: str = "") -> CheckpointHeader:
    tensors = {prefix + name: TensorInfo("F16", shape) for name, shape in talk_shapes(config).items()}
    return CheckpointHeader("talk.safetensors", tensors)


def read(file: CheckpointHeader) -> TalkConfig:
    return read_talk_config(file, describe_checkpoint(file))


@pytest.mark.parametrize("config", [SMALL, TalkConfig(5120, 40, 9216, 512, 32, 768)])
def test_sizes_are_read_back_from_the_shapes(config: TalkConfig) -> None:
    assert read(header(config)) == config


def test_reads_talk_weights_merged_into_a_base_of_the_golden_cases() -> None:
    file = read_header(GOLDENS / "shared_dit" / "weights-00001-of-00002.safetensors")
    assert read(file) == SMALL


PREFIX = "diffusion_model."
LAYER = "blocks.1.audio_cross_attn.proj"


def scaled(*, projector: str, scales: tuple[str, ...] = ("scale_weight",)) -> CheckpointHeader:
    """Audio weights in scaled fp8 of the old form; `projector` is the type of what is not scaled."""
    tensors: dict[str, TensorInfo] = {"scaled_fp8": TensorInfo("F8_E4M3", (2,))}
    for name, info in header(SMALL, PREFIX).tensors.items():
        is_scaled = len(info.shape) == 2 and "audio_proj" not in name
        tensors[name] = TensorInfo("F8_E4M3" if is_scaled else projector, info.shape)
        if is_scaled:
            layer = name.removesuffix(".weight")
            tensors |= {f"{layer}.{scale}": TensorInfo("F32", ()) for scale in scales}
    return CheckpointHeader("talk.safetensors", tensors)


@pytest.mark.parametrize("projector", ["F16", "F32"])
def test_each_layer_has_a_form_of_its_own(projector: str) -> None:
    file = scaled(projector=projector)
    description = describe_checkpoint(file)
    assert read_talk_config(file, description) == replace(SMALL, prefix=PREFIX)
    layers = talk_layers(description)
    assert layers[LAYER].format == "float8_e4m3fn"
    assert not any(name.startswith("audio_proj") for name in layers)


def test_packed_matrices_count_with_all_their_columns() -> None:
    whole = header(SMALL, PREFIX)
    tensors, remarks = dict(whole.tensors), {}
    for name, info in whole.tensors.items():
        if len(info.shape) == 2:
            layer = name.removesuffix(".weight")
            remarks[layer] = {"format": "nvfp4"}
            tensors[name] = TensorInfo("U8", (info.shape[0], info.shape[1] // 2))
            tensors[f"{layer}.weight_scale"] = TensorInfo("F8_E4M3", (info.shape[0], info.shape[1] // 16))
            tensors[f"{layer}.weight_scale_2"] = TensorInfo("F32", ())
    assert read(CheckpointHeader("t", tensors, remarks=remarks)) == replace(SMALL, prefix=PREFIX)
    del tensors[f"{PREFIX}{LAYER}.weight_scale_2"]
    with pytest.raises(CheckpointError, match=rf"`{LAYER}\.weight_scale_2` is missing"):
        read(CheckpointHeader("t", tensors, remarks=remarks))


def test_a_missing_weight_is_named() -> None:
    file = header(SMALL)
    tensors = {name: info for name, info in file.tensors.items() if name != "blocks.1.norm_x.bias"}
    with pytest.raises(
        CheckpointError, match=r"`talk.safetensors` is not a whole .*`blocks.1.norm_x.bias` is missing"
    ):
        read(CheckpointHeader("talk.safetensors", tensors))


def test_a_missing_projector_matrix_is_named() -> None:
    file = header(SMALL)
    tensors = {name: info for name, info in file.tensors.items() if name != "audio_proj.proj3.weight"}
    with pytest.raises(CheckpointError, match=r"`audio_proj.proj3.weight` is missing"):
        read(CheckpointHeader("talk.safetensors", tensors))


def test_a_shape_that_contradicts_the_others_is_named() -> None:
    tensors = {**header(SMALL).tensors, "audio_proj.proj1_vf.weight": TensorInfo("F16", (24, 700))}
    with pytest.raises(CheckpointError, match=r"proj1_vf.weight` has the shape \[24, 700\], not \[24, 768\]"):
        read(CheckpointHeader("talk.safetensors", tensors))


def test_a_vector_in_place_of_a_matrix_is_named() -> None:
    tensors = {**header(SMALL).tensors, "audio_proj.proj1.weight": TensorInfo("F16", (24,))}
    with pytest.raises(CheckpointError, match=r"proj1.weight` has the shape \[24\], which is not a matrix"):
        read(CheckpointHeader("talk.safetensors", tensors))


def test_a_talk_model_of_the_bases_size_fits() -> None:
    check_fits(BaseSize("base.safetensors", 256, 2), "talk.safetensors", SMALL)


@pytest.mark.parametrize("size", [(1536, 2), (256, 30)])
def test_a_talk_model_for_another_base_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(CheckpointError, match="made for a width of 256 and 2 blocks, but the base model"):
        check_fits(BaseSize("base.safetensors", *size), "talk.safetensors", SMALL)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("Wan2_1-InfiniTetalk-Single_fp16.safetensors", "infinitetalk"),
        ("wan2.1_infiniteTalk_single_fp16.safetensors", "infinitetalk"),
        ("WanVideo_2_1_Multitalk_14B_fp8_e4m3fn.safetensors", "multitalk"),
        ("multi/infinitetalk.safetensors", "infinitetalk"),
        ("talk.safetensors", None),
    ],
)
def test_the_name_picks_the_default_of_auto(name: str, mode: str | None) -> None:
    assert mode_from_name(name) == mode


def test_only_talk_weights_pass_the_prefix_filter() -> None:
    prefix = "diffusion_model."
    assert strip_prefix(f"{prefix}blocks.3.norm_x.bias", prefix) == "blocks.3.norm_x.bias"
    assert strip_prefix(f"{prefix}audio_proj.norm.weight", prefix) == "audio_proj.norm.weight"
    assert strip_prefix(f"{prefix}blocks.3.norm3.bias", prefix) is None
    assert strip_prefix("scaled_fp8", prefix) is None
