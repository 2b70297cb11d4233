"""LoRA on weights that the host has offloaded: what the host's own patch gives, and as much as on bf16."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_host import TinyFiles

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

CPU = torch.device("cpu")
LAYER = "blocks.0.self_attn.q"
RANK = 4


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    """A LoRA of one matrix, its bias, and one norm."""
    generator = torch.Generator().manual_seed(4)
    path = tmp_path / "small.safetensors"
    parts = {
        f"{LAYER}.lora_down.weight": 0.05 * torch.randn(RANK, 256, generator=generator),
        f"{LAYER}.lora_up.weight": 0.05 * torch.randn(256, RANK, generator=generator),
        f"{LAYER}.alpha": torch.tensor(2.0),
        f"{LAYER}.diff_b": torch.randn(256, generator=generator),
        "blocks.0.self_attn.norm_q.diff": torch.randn(256, generator=generator),
    }
    save_file({f"diffusion_model.{name}": value for name, value in parts.items()}, path)
    return path


def scaled_fp8(tiny: TinyFiles, path: Path) -> Path:
    """The tiny base with its matrices in fp8, each with a scale."""
    state = load_file(tiny.base)
    stored: dict[str, torch.Tensor] = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}
    for name, value in state.items():
        stored[name] = value.bfloat16()
        if value.ndim == 2 and name.startswith("blocks.") and name.endswith(".weight"):
            scale = value.abs().max() / 448
            stored[name] = (value / scale).to(torch.float8_e4m3fn)
            stored[name.replace(".weight", ".scale_weight")] = scale
    save_file(stored, path)
    return path


def base_model(tiny: TinyFiles, form: str, folder: Path) -> "ModelPatcher":
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    if form == "scaled":
        return load_base(scaled_fp8(tiny, folder / "scaled.safetensors"), Quantization.AS_STORED)[0]
    return load_base(tiny.base, Quantization(form))[0]


def offloaded(model: "ModelPatcher") -> None:
    """Load it as a card would on which nothing fits."""
    model.patch_model(device_to=CPU, lowvram_model_memory=1)
    assert model.model.lowvram_patch_counter > 0


def answer(model: "ModelPatcher") -> torch.Tensor:
    """What the patched layer and its norm make of some tokens."""
    attention = model.model.diffusion_model.blocks[0].self_attn
    computed = model.model.manual_cast_dtype or model.model.get_dtype()
    tokens = torch.randn(1, 64, 256, generator=torch.Generator().manual_seed(1)).to(computed)
    with torch.inference_mode():
        return attention.norm_q(attention.q(tokens)).float()


@pytest.mark.parametrize("form", ["fp32", "bf16", "fp8_e4m3fn", "scaled"])
def test_offloaded_weights_are_patched_as_the_host_patches_them(
    tiny: TinyFiles, lora: Path, tmp_path: Path, form: str
) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora
    from evertalk_pack.nodes.host.model.lora_patch import OffloadedPatch, fuse_offloaded_patches

    model, _ = load_lora(base_model(tiny, form, tmp_path), lora, 0.7)
    offloaded(model)
    host = answer(model)
    fuse_offloaded_patches(model)
    attention = model.model.diffusion_model.blocks[0].self_attn
    functions = (attention.q.weight_function, attention.q.bias_function, attention.norm_q.weight_function)
    assert all(isinstance(function, OffloadedPatch) for (function,) in functions)
    ours = answer(model)
    model.unpatch_model(CPU)
    assert attention.q.weight_function == []
    plain = answer(model)
    assert (host - plain).abs().mean() > 0.2, "the LoRA matters"
    # The host rounds a scaled weight to fp8 again; apart from that both round once or twice to bf16.
    assert (ours - host).abs().mean() < (0.05 if form == "scaled" else 0.01) * (host - plain).abs().mean()


@pytest.mark.parametrize("form", ["fp8_e4m3fn", "scaled"])
@pytest.mark.parametrize("is_offloaded", [False, True], ids=["resident", "offloaded"])
@torch.inference_mode()  # as the host runs its nodes
def test_a_lora_changes_quantised_weights_as_much_as_bf16_ones(
    tiny: TinyFiles, lora: Path, tmp_path: Path, form: str, *, is_offloaded: bool
) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora
    from evertalk_pack.nodes.host.model.lora_patch import fuse_offloaded_patches

    changes: dict[str, torch.Tensor] = {}
    for precision in ("bf16", form):
        plain = base_model(tiny, precision, tmp_path)
        before = answer(plain)
        model, _ = load_lora(plain, lora, 1.0)
        if is_offloaded:
            offloaded(model)
            fuse_offloaded_patches(model)
        else:
            model.patch_model(device_to=CPU)
        changes[precision] = answer(model) - before
        model.unpatch_model(CPU)
    bf16, quantised = changes["bf16"].flatten(), changes[form].flatten()
    assert 0.9 < quantised.norm() / bf16.norm() < 1.1
    assert torch.cosine_similarity(quantised, bf16, dim=0) > 0.95


def test_fp8_layers_that_want_fp8_weights_get_them_without_losing_the_lora(
    tiny: TinyFiles, lora: Path
) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora
    from evertalk_pack.nodes.host.model.lora_patch import fuse_offloaded_patches

    model, _ = load_lora(base_model(tiny, "fp8_e4m3fn", lora.parent), lora, 1.0)
    offloaded(model)
    fuse_offloaded_patches(model)
    layer = model.model.diffusion_model.blocks[0].self_attn.q
    (patch,) = layer.weight_function
    stored = layer.weight.detach().clone()
    exact = patch(stored.bfloat16()) - stored.bfloat16()
    rounded = patch(stored)
    assert rounded.dtype == torch.float8_e4m3fn
    assert torch.equal(rounded.float(), patch(stored).float()), "the same rounding in every step"
    # Rounding errors of single values are as large as the change; they have no direction of their own.
    change = (rounded.float() - stored.float()).flatten()
    share = torch.dot(change, exact.float().flatten()) / exact.float().square().sum()
    assert 0.9 < share < 1.1


def scaling(strength: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda weight: weight * strength


@pytest.mark.parametrize("kind", ["strength_model", "offset", "function", "dora", "set"])
def test_what_only_the_host_can_do_is_left_to_it(tiny: TinyFiles, kind: str) -> None:
    from comfy.model_patcher import LowVramPatch
    from comfy.weight_adapter.lora import LoRAAdapter
    from evertalk_pack.nodes.host.model.lora_patch import quick_patch

    del tiny
    matrices = (torch.randn(8, 2), torch.randn(2, 8), 2.0, None)
    plain = LoRAAdapter(set(), (*matrices, None, None))
    dora = LoRAAdapter(set(), (*matrices, torch.ones(8, 1), None))
    entries: dict[str, tuple[Any, ...]] = {
        "strength_model": (1.0, plain, 0.5, None, None),
        "offset": (1.0, plain, 1.0, (0, 0, 8), None),
        "function": (1.0, plain, 1.0, None, scaling(2.0)),
        "dora": (1.0, dora, 1.0, None, None),
        "set": (1.0, ("set", (torch.zeros(8, 8),)), 1.0, None, None),
    }
    layer = torch.nn.Linear(8, 8)
    assert quick_patch(LowVramPatch("w", {"w": [(1.0, plain, 1.0, None, None)]}), layer) is not None
    assert quick_patch(LowVramPatch("w", {"w": [entries[kind]]}), layer) is None


def applied(layer: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return layer(tokens)


def test_one_graph_serves_blocks_with_an_offloaded_lora(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora
    from evertalk_pack.nodes.host.model.lora_patch import fuse_offloaded_patches
    from torch._dynamo.testing import CompileCounterWithBackend

    parts: dict[str, torch.Tensor] = {}
    for block in (0, 1):
        parts[f"diffusion_model.blocks.{block}.self_attn.q.lora_down.weight"] = torch.randn(RANK, 256)
        parts[f"diffusion_model.blocks.{block}.self_attn.q.lora_up.weight"] = torch.randn(256, RANK)
    path = tmp_path / "both.safetensors"
    save_file(parts, path)
    model, _ = load_lora(base_model(tiny, "bf16", tmp_path), path, 1.0)
    offloaded(model)
    fuse_offloaded_patches(model)
    counter = CompileCounterWithBackend("eager")
    torch.compiler.reset()
    compiled = torch.compile(applied, backend=counter, dynamic=False)
    tokens = torch.randn(1, 8, 256).bfloat16()
    with torch.inference_mode():
        for block in model.model.diffusion_model.blocks:
            layer = block.self_attn.q
            assert torch.equal(compiled(layer, tokens), layer(tokens))
    assert counter.frame_count == 1


def test_its_matrices_are_counted_and_moved_with_the_weights(tiny: TinyFiles, lora: Path) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora
    from evertalk_pack.nodes.host.model.lora_patch import fuse_offloaded_patches, patch_bytes

    model, _ = load_lora(base_model(tiny, "bf16", lora.parent), lora, 1.0)
    assert patch_bytes(model) == 2 * RANK * 256 * 4
    offloaded(model)
    fuse_offloaded_patches(model)
    (patch,) = model.model.diffusion_model.blocks[0].self_attn.q.weight_function
    assert patch.move_to(torch.device("meta")) == 2 * RANK * 256 * 4
    assert patch.low_ranks[0].up_OR.is_meta


def test_keys_that_belong_to_nothing_are_told(tiny: TinyFiles, lora: Path, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora

    path = tmp_path / "mixed.safetensors"
    foreign = {
        f"diffusion_model.blocks.{index}.cross_attn.z.lora_down.weight": torch.ones(1) for index in range(5)
    }
    save_file(load_file(lora) | foreign, path)
    base = base_model(tiny, "fp32", tmp_path)
    assert load_lora(base, lora, 1.0)[1].warnings == ()
    report = load_lora(base, path, 1.0)[1]
    assert report.note == "LoRA mixed.safetensors at 1: 3 of the model's weights changed"
    (warning,) = report.warnings
    assert warning.startswith("LoRA mixed.safetensors: 5 of its 10 tensors belong to no weight of this base")
    assert "and have no effect: `diffusion_model.blocks.0.cross_attn.z.lora_down.weight`, " in warning
    assert warning.endswith(", ....")
