"""fp8 weights with a scale a row, on the CPU, where they are cast at each use; and what a GPU is asked."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_host import TinyFiles, play_windows, speech

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

CPU = torch.device("cpu")
FRAMES = 9


def base_model(tiny: TinyFiles, form: str) -> "tuple[ModelPatcher, str]":
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    return load_base(tiny.base, Quantization(form))


def product_of_columns(x_TI: torch.Tensor, other_IO: torch.Tensor, **given: Any) -> torch.Tensor:
    """What torch._scaled_mm gives on a GPU that has it, by its documentation."""
    assert x_TI.dtype == other_IO.dtype == torch.float8_e4m3fn
    assert given["scale_a"].shape == (len(x_TI), 1)
    assert given["scale_b"].shape == (1, other_IO.shape[1])
    assert other_IO.stride(0) == 1, "the second matrix lies by columns"
    scaled = (x_TI.float() * given["scale_a"]) @ (other_IO.float() * given["scale_b"])
    return scaled.to(given["out_dtype"])


def test_rows_of_any_size_keep_the_same_relative_exactness() -> None:
    from evertalk_pack.nodes.host.model.rowwise_fp8 import quantised_rows

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 512, generator=generator) * torch.tensor([1e-4, 1e-3, 0.02, 0.3, 1, 0.0])[:, None]
    values, scale = quantised_rows(weight)
    assert values.dtype == torch.float8_e4m3fn
    error = (values.float() * scale - weight).norm(dim=1) / weight.norm(dim=1).clamp(min=1e-30)
    assert error[:5].max() < 0.03
    assert error[5] == 0, "a row of zeros stays one"
    per_tensor = (weight.to(torch.float8_e4m3fn).float() - weight).norm(dim=1) / weight.norm(dim=1)
    assert per_tensor[0] > 0.9, "one scale for all loses small rows"


def test_a_row_of_zeros_has_room_for_a_patch() -> None:
    from evertalk_pack.nodes.host.model.rowwise_fp8 import quantised_rows

    _, scale = quantised_rows(torch.tensor([[0.0, 0.0], [16.0, -1.0]]))
    assert 448 * scale[0] == 16 / 16
    assert 448 * scale[1] == 16 * 4


def test_tokens_are_quantised_alike_in_parts_and_at_once() -> None:
    from evertalk_pack.nodes.host.model.rowwise_fp8 import quantised_tokens

    x_TI = torch.randn(10, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    whole, parts = quantised_tokens(x_TI), quantised_tokens(x_TI, chunk_tokens=3)
    assert torch.equal(whole[0].float(), parts[0].float())
    assert torch.equal(whole[1], parts[1])


def test_tokens_of_any_layout_are_quantised_row_by_row_as_the_product_wants_them() -> None:
    from evertalk_pack.nodes.host.model.rowwise_fp8 import quantised_tokens

    x_TI = torch.randn(32, 10, generator=torch.Generator().manual_seed(0)).bfloat16().T
    values, scale = quantised_tokens(x_TI)
    assert values.is_contiguous()
    assert scale.is_contiguous()
    assert torch.equal(values.float(), quantised_tokens(x_TI.contiguous())[0].float())


def test_a_scale_comes_from_ram_as_the_weight_does_without_waiting(
    tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management

    layer = base_model(tiny, "fp8_rowwise")[0].model.diffusion_model.blocks[0].ffn[0]
    fetched: list[torch.Size] = []
    cast_to = comfy.model_management.cast_to

    def noted(weight: torch.Tensor, *others: Any, non_blocking: bool = False, **named: Any) -> torch.Tensor:
        assert non_blocking
        fetched.append(weight.shape)
        return cast_to(weight, *others, non_blocking=non_blocking, **named)

    monkeypatch.setattr(comfy.model_management, "cast_to", noted)
    with torch.inference_mode():
        layer(torch.zeros(1, 4, 256).bfloat16())
    assert fetched == [layer.weight.shape, layer.bias.shape, layer.scale_weight.shape]


def test_only_the_blocks_matrices_are_quantised_and_it_is_said(tiny: TinyFiles) -> None:
    model, note = base_model(tiny, "fp8_rowwise")
    tree = model.model.diffusion_model
    assert tree.blocks[1].ffn[0].weight.dtype == torch.float8_e4m3fn
    assert tree.blocks[1].ffn[0].scale_weight.shape == (512, 1)
    assert tree.blocks[1].ffn[0].bias.dtype == torch.bfloat16
    others = [tree.blocks[0].modulation, tree.blocks[0].self_attn.norm_q.weight, tree.head.head.weight]
    assert {tensor.dtype for tensor in others} == {torch.bfloat16}
    assert note == (
        "quantization fp8_rowwise: weights held as float8_e4m3fn, computed in float32, no fp8 matrix "
        "products on cpu: weights are cast at each use, which takes longer"
    )


def test_it_is_nearer_to_bf16_than_fp8_with_one_scale(tiny: TinyFiles, vae: Any) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    embeds = speech(tiny, FRAMES)
    results: dict[str, torch.Tensor] = {}
    for form in ("bf16", "fp8_e4m3fn", "fp8_rowwise"):
        talk = load_talk(tiny.talk, check_talk_file(tiny.talk, None))
        model = apply_talk(
            base_model(tiny, form)[0], AudioAttachment(tiny.talk.name, "infinitetalk", "sdpa", talk)
        )
        results[form] = play_windows(model, vae, embeds).float()
    error = {form: float((result - results["bf16"]).norm()) for form, result in results.items()}
    assert 0 < error["fp8_rowwise"] < error["fp8_e4m3fn"]


def test_the_product_gives_what_cast_weights_give(tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = base_model(tiny, "fp8_rowwise")
    layer = model.model.diffusion_model.blocks[0].ffn[0]
    tokens = torch.randn(2, 7, 256, generator=torch.Generator().manual_seed(1)).bfloat16()
    with torch.inference_mode():
        cast = layer(tokens)
        monkeypatch.setattr(torch, "_scaled_mm", product_of_columns)
        layer.multiplies = True
        multiplied = layer(tokens)
    assert multiplied.shape == cast.shape
    assert multiplied.dtype == torch.bfloat16
    assert 0 < (multiplied - cast).norm() / cast.norm() < 0.04


@pytest.mark.parametrize("kind", ["lora", "loha"])
@pytest.mark.parametrize("is_offloaded", [False, True], ids=["resident", "offloaded"])
def test_a_lora_changes_it_as_much_as_bf16(
    tiny: TinyFiles, tmp_path: Path, kind: str, *, is_offloaded: bool
) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora
    from evertalk_pack.nodes.host.model.lora_patch import fuse_offloaded_patches

    generator = torch.Generator().manual_seed(4)
    name, path = "diffusion_model.blocks.0.self_attn.q", tmp_path / "small.safetensors"
    down, up = torch.randn(4, 256, generator=generator), torch.randn(256, 4, generator=generator)
    if kind == "lora":
        parts = {"lora_down.weight": 0.05 * down, "lora_up.weight": 0.05 * up}
    else:  # one that the pack leaves to the host's arithmetic
        parts = {"hada_w1_a": 0.2 * up, "hada_w1_b": 0.2 * down}
        parts |= {"hada_w2_a": 0.2 * up.flip(0), "hada_w2_b": 0.2 * down.flip(1)}
    save_file({f"{name}.{part}": value for part, value in parts.items()}, path)
    tokens = torch.randn(1, 64, 256, generator=generator).bfloat16()
    changes: list[torch.Tensor] = []
    for form in ("bf16", "fp8_rowwise"):
        plain, _ = base_model(tiny, form)
        layer = plain.model.diffusion_model.blocks[0].self_attn.q
        with torch.inference_mode():
            before = layer(tokens)
            model, _ = load_lora(plain, path, 1.0)
            model.patch_model(device_to=CPU, lowvram_model_memory=1 if is_offloaded else 0)
            fuse_offloaded_patches(model)
            changes.append((layer(tokens) - before).float().flatten())
            model.unpatch_model(CPU)
    assert 0.9 < changes[1].norm() / changes[0].norm() < 1.1
    assert torch.cosine_similarity(changes[0], changes[1], dim=0) > 0.95


@pytest.mark.parametrize("form", ["bf16", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_rowwise"])
def test_one_graph_serves_blocks_of_every_precision(tiny: TinyFiles, form: str) -> None:
    import comfy.ops
    from comfy.ldm.wan.model import WanModel
    from evertalk_pack.attention.sdpa import attend
    from evertalk_pack.nodes.host.model.patcher import rotation_of_host
    from evertalk_pack.wanvideo.forward import BlockContext, block_forward
    from torch._dynamo.testing import CompileCounterWithBackend

    tree: Any = base_model(tiny, form)[0].model.diffusion_model
    if form == "fp8_e4m3fn_fast" and "comfy_kitchen" in sys.modules:
        pytest.skip("this ComfyUI takes its fp8 products from comfy-kitchen, which has them on GPUs alone")
    if form == "fp8_e4m3fn_fast":  # the host takes these operations on GPUs alone
        size: dict[str, Any] = {
            "dim": 256,
            "ffn_dim": 512,
            "num_heads": 2,
            "num_layers": 2,
            "text_dim": 4096,
            "in_dim": 36,
        }
        state = tree.state_dict()
        tree = WanModel("i2v", **size, dtype=torch.float8_e4m3fn, operations=comfy.ops.fp8_ops).eval()
        tree.load_state_dict(state, strict=False)
    generator = torch.Generator().manual_seed(2)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).bfloat16()

    turns = torch.randn(1, 32, 1, 64, 2, 2, generator=generator)
    context = BlockContext(
        noise(1, 6, 256), noise(1, 8, 256), noise(1, 8, 256), rotation_of_host(turns), 2, attend
    )
    counter = CompileCounterWithBackend("aot_eager")
    torch.compiler.reset()
    compiled = torch.compile(block_forward, backend=counter, dynamic=False, fullgraph=True)
    x_BLC = noise(1, 32, 256)
    with torch.inference_mode():
        for block in tree.blocks:
            eager = block_forward(block, None, context, x_BLC)
            torch.testing.assert_close(compiled(block, None, context, x_BLC), eager, atol=0.1, rtol=0.02)
    assert counter.frame_count == 1


def test_audio_weights_multiply_in_fp8_over_the_tokens_alone_and_stay_near(tiny: TinyFiles, vae: Any) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk
    from evertalk_pack.nodes.host.model.weights_identity import weights_identity

    embeds, results = speech(tiny, FRAMES), list[torch.Tensor]()
    talks = [load_talk(tiny.talk, check_talk_file(tiny.talk, None), in_fp8=one) for one in (False, True)]
    assert len({weights_identity(talk) for talk in talks}) == 2
    layers: Any = talks[1].model.blocks[1].audio_cross_attn
    assert layers.q_linear.weight.dtype == layers.proj.weight.dtype == torch.float8_e4m3fn
    assert layers.proj.scale_weight.shape == (layers.proj.out_features, 1)
    assert layers.kv_linear.weight.dtype == talks[0].model.blocks[1].audio_cross_attn.kv_linear.weight.dtype
    for talk in talks:
        attachment = AudioAttachment(tiny.talk.name, "infinitetalk", "sdpa", talk)
        results.append(play_windows(apply_talk(base_model(tiny, "bf16")[0], attachment), vae, embeds).float())
    error = float((results[1] - results[0]).norm() / results[0].norm())
    assert 0 < error < 0.02


@pytest.mark.parametrize("computed", [torch.bfloat16, torch.float16])
def test_audio_weights_follow_a_base_that_multiplies_in_fp8_in_bfloat16(
    tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch, computed: torch.dtype
) -> None:
    from evertalk_pack.nodes.host.compat.precision import compute_in
    from evertalk_pack.nodes.host.model import talking_model
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    base, _ = base_model(tiny, "fp8_rowwise")
    for layer in base.model.diffusion_model.modules():
        layer.multiplies = True

    def has_product(_device: torch.device) -> bool:
        return True

    monkeypatch.setattr(talking_model, "has_fp8_product", has_product)
    choice = talking_model.TalkChoice(tiny.talk.name, "infinitetalk", "sdpa")
    attachment = attachment_of(
        talking_model.apply_file(compute_in(base, computed), tiny.talk, choice, (), ())
    )
    layer: Any = attachment.talk.model.blocks[0].audio_cross_attn.proj
    is_fp8 = layer.weight.dtype is torch.float8_e4m3fn
    assert is_fp8 is (computed is torch.bfloat16)
    assert is_fp8 is any(note.startswith("audio weights: products") for note in attachment.notes)
