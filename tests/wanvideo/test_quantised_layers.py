"""Which layers of a file are quantised, and remarks on them that cannot be read."""

import json
from pathlib import Path

import pytest
import torch
from evertalk_pack.wanvideo.checkpoint import read_header
from evertalk_pack.wanvideo.errors import CheckpointError
from evertalk_pack.wanvideo.quantised_layers import Marking, quantised_layers
from safetensors.torch import save_file

FP8 = torch.float8_e4m3fn


def text(value: object) -> torch.Tensor:
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)


def matrix(dtype: torch.dtype = FP8) -> torch.Tensor:
    return torch.zeros(4, 8).to(dtype)


def test_layers_of_every_marking_are_found_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    remarks = {
        "layers": {"told": {"format": "mxfp8"}, "bare": {"format": "float8_e5m2"}, "gone": {"format": "x"}}
    }
    save_file(
        {
            "old.weight": matrix(),
            "old.scale_weight": torch.tensor(2.0),
            "new.weight": matrix(torch.uint8),
            "new.comfy_quant": text({"format": "nvfp4", "full_precision_matrix_mult": True}),
            "told.weight": matrix(),
            "diffusion_model.bare.weight": matrix(torch.float8_e5m2),
            "silent.weight": matrix(),
            "silent.weight_scale": torch.tensor([2.0]),
            "rows.weight": matrix(),
            "rows.weight_scale": torch.ones(4, 1),
            "odd.weight": matrix(torch.float16),
            "odd.scale_weight": torch.tensor(2.0),
            "plain.weight": matrix(torch.bfloat16),
        },
        path,
        {"_quantization_metadata": json.dumps(remarks)},
    )
    layers = quantised_layers(read_header(path))
    assert {name: (layer.format, layer.marking) for name, layer in layers.items()} == {
        "old": ("float8_e4m3fn", Marking.OLD),
        "new": ("nvfp4", Marking.TENSOR),
        "told": ("mxfp8", Marking.METADATA),
        "diffusion_model.bare": ("float8_e5m2", Marking.METADATA),
        "silent": ("float8_e4m3fn", Marking.NONE),
        "rows": ("float8_e4m3fn with 4 scales a matrix", Marking.NONE),
        "odd": ("F16 with scales", Marking.OLD),
    }
    assert layers["new"].settings["full_precision_matrix_mult"] is True


@pytest.mark.parametrize(
    ("remark", "complaint"),
    [
        (torch.tensor([1.0]), "`a.comfy_quant` is not a short text"),
        (torch.zeros(70_000, dtype=torch.uint8), "`a.comfy_quant` is not a short text"),
        (torch.tensor([255, 1], dtype=torch.uint8), "`a.comfy_quant` is wrong: it is not UTF-8"),
        (torch.full((60_000,), ord("["), dtype=torch.uint8), "`a.comfy_quant` is wrong: it is not JSON"),
        (text([1]), "`a.comfy_quant` is wrong: it is not a JSON object"),
        (text({"group_size": 16}), "`a.comfy_quant` is wrong: it names no format"),
        (text({"format": 4}), "`a.comfy_quant` is wrong: it names no format"),
    ],
)
def test_a_remark_that_is_none_is_refused(tmp_path: Path, remark: torch.Tensor, complaint: str) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a.weight": matrix(), "a.comfy_quant": remark}, path)
    with pytest.raises(CheckpointError, match=rf"`x\.safetensors` is not a usable .*{complaint}"):
        read_header(path)


@pytest.mark.parametrize("metadata", ["{", "[]", '{"layers": []}', '{"layers": {"a": {}}}', "{}"])
def test_metadata_that_holds_no_remarks_is_refused(tmp_path: Path, metadata: str) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a.weight": matrix()}, path, {"_quantization_metadata": metadata})
    with pytest.raises(CheckpointError, match="its metadata on quantised layers is wrong: it "):
        read_header(path)
