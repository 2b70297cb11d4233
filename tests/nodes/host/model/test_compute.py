"""In what precision a MODEL computes: chosen, or the faster half of a GPU."""

from typing import Any

import pytest
import torch
from evertalk_pack.attention.choice import AttentionSpec
from tiny_host import TinyFiles

pytestmark = pytest.mark.host

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


def load(tiny: TinyFiles, quantization: str, compute: str) -> Any:
    from evertalk_pack.nodes.host.model.loaders import Quantization
    from evertalk_pack.nodes.host.model.talking_model import BaseChoice, TalkChoice, load_choice

    base = BaseChoice(tiny.base.name, Quantization(quantization), "none", 1.0)
    return load_choice(base, TalkChoice(tiny.talk.name, "infinitetalk", "sdpa", compute=compute))


@pytest.fixture
def listed(tiny: TinyFiles, monkeypatch: pytest.MonkeyPatch) -> TinyFiles:
    """The tiny files where the host looks for models."""
    import folder_paths

    for kind, path in (("diffusion_models", tiny.base), ("model_patches", tiny.talk)):
        monkeypatch.setitem(folder_paths.folder_names_and_paths, kind, ([str(path.parent)], {".safetensors"}))
    return tiny


@pytest.mark.parametrize("quantization", ["as stored", "bf16", "fp8_e4m3fn", "fp8_rowwise"])
def test_every_form_of_weights_computes_in_the_precision_chosen(listed: TinyFiles, quantization: str) -> None:
    import comfy.model_management
    from evertalk_pack.nodes.host.compat.precision import computed_in
    from evertalk_pack.nodes.host.model.patcher import attachment_of
    from evertalk_pack.nodes.host.run.summary import precision_of

    seen: dict[str, torch.dtype] = {}
    for name, dtype in (("bfloat16", BF16), ("float16", FP16), ("float32", FP32)):
        model = load(listed, quantization, name)
        assert computed_in(model) is dtype, "told before anything is loaded"
        assert precision_of(model).endswith(f"computed in {name}")
        assert any(note.startswith(f"compute {name}: as chosen") for note in attachment_of(model).notes)
        comfy.model_management.load_models_gpu([model])
        layer = model.model.diffusion_model.blocks[0].self_attn.q
        seen[name] = layer(torch.ones(1, 2, layer.in_features, dtype=dtype)).dtype
        comfy.model_management.unload_all_models()
        assert model.model.manual_cast_dtype != dtype or seen[name] is dtype
    assert list(seen.values()) == [BF16, FP16, FP32], "its layers take tokens of it, however held"


def test_a_choice_leaves_the_given_model_as_it_was(listed: TinyFiles) -> None:
    from evertalk_pack.nodes.host.compat.precision import computed_in
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base
    from evertalk_pack.nodes.host.model.talking_model import TalkChoice, apply_choice

    given, _ = load_base(listed.base, Quantization.AS_STORED)
    choice = TalkChoice(listed.talk.name, "infinitetalk", "sdpa", compute="bfloat16")
    assert computed_in(apply_choice(given, choice)) is BF16
    assert computed_in(given) is FP32


def test_a_model_in_another_precision_is_another_run(listed: TinyFiles) -> None:
    from evertalk_pack.nodes.host.run.identity import model_identity

    choices = ("auto", "bfloat16", "float16")
    assert len({model_identity(load(listed, "as stored", choice)) for choice in choices}) == len(choices)


def test_auto_is_the_host_s_choice_where_there_is_no_gpu(listed: TinyFiles) -> None:
    from evertalk_pack.nodes.host.compat.precision import computed_in
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    model = load(listed, "as stored", "auto")
    assert computed_in(model) is FP32
    assert not any(note.startswith("compute ") for note in attachment_of(model).notes)


def always(_device: torch.device) -> bool:
    return True


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch, model: Any, own: torch.dtype) -> None:
    """Have the host take this for a GPU with both halves, of which it prefers `own`."""
    import comfy.model_management

    for name in ("should_use_bf16", "should_use_fp16"):
        monkeypatch.setattr(comfy.model_management, name, always)
    monkeypatch.setattr(model, "load_device", torch.device("cuda", 0))
    monkeypatch.setattr(model.model, "manual_cast_dtype", own)


@pytest.mark.parametrize(
    ("bf16_ms", "fp16_ms", "best"), [(1.0, 1.5, BF16), (1.0, 0.8, FP16), (1.0, 0.99, BF16)]
)
def test_auto_takes_the_half_that_is_faster_by_more_than_noise(
    listed: TinyFiles, monkeypatch: pytest.MonkeyPatch, bf16_ms: float, fp16_ms: float, best: torch.dtype
) -> None:
    from evertalk_pack.attention import half_precisions
    from evertalk_pack.nodes.host.compat.precision import computed_in
    from evertalk_pack.nodes.host.model import compute
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    times = {BF16: bf16_ms, FP16: fp16_ms}

    def fastest_of(_asked: str, site: AttentionSpec) -> tuple[str, float]:
        return "sdpa", times[site.dtype]

    def product_ms(_device: torch.device, dtype: torch.dtype, _channels: int) -> float:
        return times[dtype]

    monkeypatch.setattr(half_precisions, "fastest_of", fastest_of)
    monkeypatch.setattr(half_precisions, "product_ms", product_ms)
    compute.measured.cache_clear()
    model, _ = load_base(listed.base, Quantization.FP8_E4M3FN)
    as_on_a_gpu(monkeypatch, model, FP16)
    chosen, (note,), _ = compute.in_precision(model, "auto", "auto")
    compute.measured.cache_clear()
    assert computed_in(chosen) is best
    assert note.startswith(f"compute auto: {str(best).removeprefix('torch.')}, the faster one here")


def test_auto_leaves_what_a_node_chose(listed: TinyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.compat.precision import computed_in
    from evertalk_pack.nodes.host.model import compute
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    model, _ = load_base(listed.base, Quantization.FP8_E4M3FN)
    model.set_model_compute_dtype(FP16)
    as_on_a_gpu(monkeypatch, model, BF16)
    chosen, notes, _ = compute.in_precision(model, "auto", "auto")
    assert computed_in(chosen) is FP16
    assert notes == ("compute auto: float16, as a node put on the MODEL",)


def test_rowwise_products_in_another_half_are_warned_of(
    listed: TinyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes.host.model import compute
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base
    from evertalk_pack.nodes.host.model.rowwise_fp8 import RowwiseFp8

    model, _ = load_base(listed.base, Quantization.FP8_ROWWISE)
    monkeypatch.setattr(RowwiseFp8.Linear, "multiplies", True)
    for layer in model.model.diffusion_model.modules():
        vars(layer).pop("multiplies", None)
    _, _, warnings = compute.in_precision(model, "float16", "auto")
    assert "fp8_rowwise multiplies in fp8 only where bfloat16" in warnings[0]
    assert compute.in_precision(model, "bfloat16", "auto")[2] == ()
