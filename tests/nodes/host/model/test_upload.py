"""Which weights are brought to a GPU ahead of the host."""

from typing import Any

import pytest
import torch
from tiny_host import TinyFiles, load_model
from torch import nn

pytestmark = pytest.mark.host


def test_weights_that_are_patched_when_they_load_are_left_to_the_host(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.upload import movable

    model: Any = load_model(tiny)
    every = {id(weight) for weight in model.model.parameters()}
    assert {id(weight) for weight in movable(model)} == every
    patched = "diffusion_model.blocks.0.ffn.0.weight"
    model.patches[patched] = []
    left = every - {id(weight) for weight in movable(model)}
    assert left == {id(model.model.diffusion_model.blocks[0].ffn[0].weight)}


def test_what_is_no_plain_weight_in_ram_is_left_alone(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.upload import movable

    class Packed(nn.Parameter):
        """As a loader's own kind of weight."""

    model: Any = load_model(tiny)
    layer = model.model.diffusion_model.blocks[0].self_attn.q
    layer.weight = Packed(layer.weight.data, requires_grad=False)
    layer.bias = nn.Parameter(torch.empty(layer.bias.shape, device="meta"), requires_grad=False)
    moved = {id(weight) for weight in movable(model)}
    assert id(layer.weight) not in moved
    assert id(layer.bias) not in moved


def test_without_a_gpu_nothing_is_moved(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.upload import upload_ahead

    model: Any = load_model(tiny)
    before = {name: weight.data_ptr() for name, weight in model.model.named_parameters()}
    upload_ahead([model], 0)
    assert {name: weight.data_ptr() for name, weight in model.model.named_parameters()} == before


def test_a_model_that_is_loaded_is_not_searched_again(
    tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes.host.model import upload

    models: list[Any] = [load_model(tiny), load_model(tiny)]
    gpu, searched = torch.device("cuda", 0), list[Any]()

    def searching(model: Any) -> list[nn.Parameter]:
        searched.append(model)
        return []

    def nothing_free(_device: torch.device) -> float:
        return 0.0

    for model in models:
        monkeypatch.setattr(model, "load_device", gpu)
    monkeypatch.setattr(models[0].model, "model_loaded_weight_memory", 1)
    monkeypatch.setattr(upload, "movable", searching)
    monkeypatch.setattr(upload.comfy.model_management, "get_free_memory", nothing_free)
    upload.upload_ahead(models, 0)
    assert searched == [models[1]]
