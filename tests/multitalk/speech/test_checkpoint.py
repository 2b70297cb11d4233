from collections.abc import Callable

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from evertalk_pack.multitalk.speech.checkpoint import clean_weights, speech_encoder_from
from tiny_speech import BASE, LARGE, speech_like, tiny_encoder

Weights = dict[str, torch.Tensor]
POSITIONS = "encoder.pos_conv_embed.conv."


def plain() -> Weights:
    return dict(tiny_encoder(BASE).state_dict())


def with_weight_norm(size_name: str, direction_name: str) -> Weights:
    weights = plain()
    kernel = weights.pop(POSITIONS + "weight")
    weights[POSITIONS + size_name] = kernel.norm(dim=(0, 1), keepdim=True)
    weights[POSITIONS + direction_name] = 3 * kernel
    return weights


def with_prefix_and_heads_of_training() -> Weights:
    weights = {f"wav2vec2.{name}": value for name, value in plain().items()}
    extra = {
        "wav2vec2.masked_spec_embed": torch.zeros(128),
        "lm_head.weight": torch.zeros(32, 128),
        "quantizer.codevectors": torch.zeros(1, 8, 4),
        "project_hid.weight": torch.zeros(4, 128),
    }
    return weights | extra


@pytest.mark.parametrize(
    "form",
    [
        plain,
        lambda: with_weight_norm("weight_g", "weight_v"),
        lambda: with_weight_norm("parametrizations.weight.original0", "parametrizations.weight.original1"),
        with_prefix_and_heads_of_training,
    ],
    ids=["plain", "weight_g", "parametrizations", "prefix"],
)
def test_every_form_of_a_checkpoint_gives_the_same_encoder(form: Callable[[], Weights]) -> None:
    expected = tiny_encoder(BASE)(speech_like(8000), 12)
    assert torch.allclose(speech_encoder_from(form(), "x")(speech_like(8000), 12), expected, atol=1e-5)


def test_the_large_style_is_recognised() -> None:
    encoder = speech_encoder_from(tiny_encoder(LARGE).state_dict(), "x")
    assert encoder.config == LARGE


def test_half_precision_files_are_computed_in_float32() -> None:
    halves = {name: value.half() for name, value in plain().items()}
    encoder = speech_encoder_from(halves, "x")
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_weight_norm_is_folded_in_float32() -> None:
    weights = with_weight_norm("weight_g", "weight_v")
    halves = {name: value.half() for name, value in weights.items()}
    assert clean_weights(halves)[POSITIONS + "weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.encoder.embed_positions.weight", "a Whisper encoder"),
        ("hubert.encoder.layer_norm.weight", "a HuBERT encoder"),
        ("diffusion_model.audio_proj.proj1.weight", "InfiniteTalk or MultiTalk weights"),
        ("blocks.0.self_attn.q.lora_A.weight", "a LoRA"),
        ("blocks.0.self_attn.q.weight", "a Wan video model"),
        ("vision_model.embeddings.class_embedding", "a CLIP vision encoder"),
        ("decoder.middle.0.residual.0.gamma", "a VAE"),
        ("foo.bar", r"of an unknown kind \(weights such as foo.bar\)"),
    ],
)
def test_a_file_of_another_kind_is_named(name: str, kind: str) -> None:
    with pytest.raises(ModelFileError, match=f"my_file is {kind}, not a wav2vec2.*choose"):
        speech_encoder_from({name: torch.zeros(2, 2)}, "my_file")


def test_an_empty_file_is_named() -> None:
    with pytest.raises(ModelFileError, match="an empty file"):
        speech_encoder_from({}, "my_file")


def test_missing_unknown_and_misshapen_weights_are_refused_by_name() -> None:
    missing = plain()
    del missing["encoder.layers.1.attention.v_proj.bias"]
    unknown = plain() | {"encoder.layers.0.attention.gru_rel_pos_const": torch.zeros(1)}
    misshapen = plain() | {"encoder.layer_norm.bias": torch.zeros(3)}
    for weights, name in (
        (missing, r"encoder.layers.1.attention.v_proj.bias"),
        (unknown, r"encoder.layers.0.attention.gru_rel_pos_const"),
        (misshapen, r"encoder.layer_norm.bias"),
    ):
        with pytest.raises(
            ModelFileError, match=f"1 weights are missing, unknown or of another shape, first {name}"
        ):
            speech_encoder_from(weights, "my_file")


def test_shapes_of_no_wav2vec2_are_refused() -> None:
    weights = plain()
    del weights["feature_extractor.conv_layers.6.conv.weight"]
    with pytest.raises(ModelFileError, match=r"not shaped like a wav2vec2.*6 convolutions, not 7.*download"):
        speech_encoder_from(weights, "my_file")


def test_a_checkpoint_without_its_position_kernel_is_refused() -> None:
    weights = plain()
    del weights[POSITIONS + "weight"]
    with pytest.raises(ModelFileError, match=r"not shaped like a wav2vec2.*pos_conv_embed.conv.weight"):
        speech_encoder_from(weights, "my_file")


def test_heads_of_the_metadata_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelFileError, match="3 attention heads do not divide 128 channels"):
        speech_encoder_from(plain(), "my_file", num_heads=3)
