"""One layer, all the names that trainers give it."""

import pytest
from evertalk_pack.wanvideo.lora_names import host_names

LAYERS = ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "self_attn.norm_q", "self_attn.norm_k")
CROSS = (
    "cross_attn.q",
    "cross_attn.k",
    "cross_attn.v",
    "cross_attn.o",
    "cross_attn.k_img",
    "cross_attn.v_img",
)
NORMS = ("cross_attn.norm_q", "cross_attn.norm_k", "cross_attn.norm_k_img", "norm3", "ffn.0", "ffn.2")
OUTSIDE = (
    *("patch_embedding", "text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2"),
    *(
        "time_projection.1",
        "img_emb.proj.0",
        "img_emb.proj.1",
        "img_emb.proj.3",
        "img_emb.proj.4",
        "head.head",
    ),
)
WEIGHTS = [
    *(f"blocks.{block}.{layer}.weight" for block in (0, 11) for layer in (*LAYERS, *CROSS, *NORMS)),
    *(f"{layer}.weight" for layer in OUTSIDE),
    *("blocks.0.modulation", "blocks.11.modulation", "head.modulation"),
]

DIFFUSERS = {
    "blocks.11.attn1.to_q": "blocks.11.self_attn.q",
    "blocks.11.attn1.to_k": "blocks.11.self_attn.k",
    "blocks.11.attn1.to_v": "blocks.11.self_attn.v",
    "blocks.11.attn1.to_out.0": "blocks.11.self_attn.o",
    "blocks.11.attn1.norm_q": "blocks.11.self_attn.norm_q",
    "blocks.11.attn1.norm_k": "blocks.11.self_attn.norm_k",
    "blocks.11.attn2.to_q": "blocks.11.cross_attn.q",
    "blocks.11.attn2.to_k": "blocks.11.cross_attn.k",
    "blocks.11.attn2.to_v": "blocks.11.cross_attn.v",
    "blocks.11.attn2.to_out.0": "blocks.11.cross_attn.o",
    "blocks.11.attn2.add_k_proj": "blocks.11.cross_attn.k_img",
    "blocks.11.attn2.add_v_proj": "blocks.11.cross_attn.v_img",
    "blocks.11.attn2.norm_added_k": "blocks.11.cross_attn.norm_k_img",
    "blocks.11.norm2": "blocks.11.norm3",
    "blocks.11.ffn.net.0.proj": "blocks.11.ffn.0",
    "blocks.11.ffn.net.2": "blocks.11.ffn.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "proj_out": "head.head",
    "patch_embedding": "patch_embedding",
}

DOTTED = (
    *(
        "",
        "diffusion_model.",
        "model.diffusion_model.",
        "transformer.",
        "base_model.model.",
        "unet.",
        "pipe.dit.",
    ),
    *(
        "base_model.model.transformer.",
        "lora_unet_",
        "lora_unet__",
        "lycoris_",
        "transformer.base_model.model.",
    ),
)
FLAT = ("lora_unet_", "lora_unet__", "lycoris_", "lora_transformer_")


HOSTS = "diffusion_model.blocks.0.ffn.0"


def named(name: str) -> str:
    return host_names([name], WEIGHTS)[name]


@pytest.mark.parametrize("beginning", DOTTED)
def test_any_beginning_with_dots(beginning: str) -> None:
    for theirs, ours in {**DIFFUSERS, **{layer: layer for layer in OUTSIDE}}.items():
        assert named(f"{beginning}{theirs}.lora_A.weight") == f"diffusion_model.{ours}.lora_down.weight"
    for layer in (*LAYERS, *CROSS, *NORMS):
        name = f"{beginning}blocks.0.{layer}.alpha"
        assert named(name) == f"diffusion_model.blocks.0.{layer}.alpha"


@pytest.mark.parametrize("beginning", FLAT)
def test_any_beginning_with_underscores(beginning: str) -> None:
    for theirs, ours in {**DIFFUSERS, **{layer: layer for layer in OUTSIDE}}.items():
        name = f"{beginning}{theirs.replace('.', '_')}.lora_up.weight"
        assert named(name) == f"diffusion_model.{ours}.lora_up.weight"
    for layer in (*LAYERS, *CROSS, *NORMS):
        name = f"{beginning}blocks_11_{layer.replace('.', '_')}.hada_w2_b"
        assert named(name) == f"diffusion_model.blocks.11.{layer}.hada_w2_b"


@pytest.mark.parametrize(
    ("theirs", "hosts"),
    [
        ("lora_A.weight", "lora_down.weight"),
        ("lora_B.weight", "lora_up.weight"),
        ("lora_A.default.weight", "lora_down.weight"),
        ("lora_B.default.weight", "lora_up.weight"),
        ("lora_A", "lora_down.weight"),
        ("lora_B", "lora_up.weight"),
        ("lora.down.weight", "lora_down.weight"),
        ("lora.up.weight", "lora_up.weight"),
        ("lora_linear_layer.down.weight", "lora_down.weight"),
        ("lora_linear_layer.up.weight", "lora_up.weight"),
        ("lora_magnitude_vector", "dora_scale"),
        ("lora_magnitude_vector.default.weight", "dora_scale"),
        *(
            (name, name)
            for name in ("alpha", "diff", "diff_b", "dora_scale", "lokr_w1", "lokr_w2_a", "hada_t1")
        ),
    ],
)
def test_any_ending(theirs: str, hosts: str) -> None:
    assert named(f"blocks.0.ffn.0.{theirs}") == f"diffusion_model.blocks.0.ffn.0.{hosts}"
    assert named(f"transformer.blocks.0.ffn.net.0.proj.{theirs}") == f"diffusion_model.blocks.0.ffn.0.{hosts}"


def test_old_processors_of_diffusers() -> None:
    assert (
        named("unet.blocks.0.attn1.processor.to_q_lora.down.weight")
        == "diffusion_model.blocks.0.self_attn.q.lora_down.weight"
    )


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_model.blocks.0.diff_m",
        "blocks.0.diff_m",
        "lora_unet_blocks_0.diff_m",
        "diffusion_model.blocks.0.modulation.diff",
        "transformer.blocks.0.scale_shift_table.diff",
    ],
)
def test_modulation(name: str) -> None:
    wanted = "diffusion_model.blocks.0.modulation.diff"
    assert named(name.replace("scale_shift_table", "modulation")) == wanted
    assert named(name) == wanted
    assert named("transformer.scale_shift_table.diff") == "diffusion_model.head.modulation.diff"
    assert named("diffusion_model.head.diff_m") == "diffusion_model.head.modulation.diff"


@pytest.mark.parametrize(
    "name",
    [
        "lora_te_text_model_encoder_layers_0_mlp_fc1.alpha",
        "double_blocks.0.img_attn.qkv.lora_A.weight",
        "blocks.40.self_attn.q.lora_A.weight",
        "blocks.0.audio_cross_attn.q.lora_A.weight",
        "scaled_fp8",
    ],
)
def test_what_is_no_layer_of_the_transformer_keeps_its_name(name: str) -> None:
    assert named(name) == name


def test_two_tensors_never_get_one_name() -> None:
    flat, dotted, bare = (f"{name}.alpha" for name in ("lora_unet_blocks_0_ffn_0", HOSTS, "blocks.0.ffn.0"))
    assert host_names([flat, dotted, bare], WEIGHTS) == {flat: flat, dotted: dotted, bare: bare}
    assert host_names([flat, bare], WEIGHTS) == {flat: dotted, bare: bare}
