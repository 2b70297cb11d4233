"""In what precision weights lie, where the host takes them as the file stores them."""

from typing import Any

import pytest
import torch
from tiny_host import TinyFiles
from torch import nn

pytestmark = pytest.mark.host

BF16, FP8 = torch.bfloat16, torch.float8_e4m3fn


def lazily_loaded() -> nn.Linear:
    """A layer as the host's are with dynamic VRAM on: fp32 in the file, asked for in fp8."""
    layer: Any = nn.Linear(4, 3).requires_grad_(requires_grad=False)
    layer.weight_comfy_model_dtype, layer.bias_comfy_model_dtype = FP8, BF16
    return layer


def test_what_was_asked_for_is_what_a_layer_is_said_to_hold() -> None:
    from evertalk_pack.nodes.host.compat.precision import precision_of

    assert precision_of(lazily_loaded()) is FP8
    assert precision_of(nn.Linear(4, 3)) is torch.float32


def test_weights_that_nobody_casts_later_are_cast_at_once() -> None:
    from evertalk_pack.nodes.host.compat.precision import settle_precision

    layer = lazily_loaded()
    before = layer.weight.clone()
    settle_precision(layer)
    assert (layer.weight.dtype, layer.bias.dtype) == (FP8, BF16)
    assert torch.equal(layer.weight.float(), before.to(FP8).float())


def test_a_bias_keeps_its_precision_beside_an_fp8_matrix() -> None:
    from evertalk_pack.nodes.host.compat.precision import note_precision, precision_of, settle_precision

    layer = lazily_loaded()
    layer.weight = nn.Parameter(layer.weight.to(FP8), requires_grad=False)
    layer.bias = nn.Parameter(layer.bias.half(), requires_grad=False)
    note_precision(layer)
    settle_precision(layer)
    assert (precision_of(layer), precision_of(layer, "bias")) == (FP8, torch.float16)
    assert layer.bias.dtype is torch.float16


@pytest.mark.parametrize("form", ["bf16", "fp8_e4m3fn", "fp8_rowwise"])
def test_a_base_is_held_as_asked_also_where_layers_take_weights_as_stored(
    tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    import comfy.utils
    from evertalk_pack.nodes.host.compat.precision import precision_of
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    memory = pytest.importorskip("comfy.memory_management", reason="this ComfyUI has no dynamic VRAM")
    read = comfy.utils.load_torch_file

    def read_plainly(*args: Any, **named: Any) -> Any:
        """Only a GPU has the reader that belongs to such layers."""
        with monkeypatch.context() as reading:
            reading.setattr(memory, "aimdo_enabled", False)
            return read(*args, **named)

    monkeypatch.setattr(comfy.utils, "load_torch_file", read_plainly)
    monkeypatch.setattr(memory, "aimdo_enabled", True)
    held = BF16 if form == "bf16" else FP8
    for dynamic in (True, False):
        model, note = load_base(tiny.base, Quantization(form), dynamic=dynamic)
        layer = model.model.diffusion_model.blocks[0].self_attn.q
        assert precision_of(layer) is held
        assert f"weights held as {str(held).removeprefix('torch.')}," in note
    assert layer.weight.dtype is held, "nobody casts it later"
