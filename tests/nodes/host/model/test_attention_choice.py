"""Whose attention runs: the pack's, the host's, or what a node put on the MODEL."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.attention.sdpa import attend
from silent_pair import SIGMA, Pair, assert_acts_as_on_the_host_s_own, assert_same, silent_pair
from tiny_host import TinyFiles, load_model, play_windows, speech

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def pair(tiny: TinyFiles) -> Pair:
    return silent_pair(tiny)


def put_override(model: "ModelPatcher") -> None:
    def override(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        assert kwargs["transformer_options"]["sigmas"][0] == pytest.approx(SIGMA)
        return 0.5 * function(*args, **kwargs)

    model.model_options["transformer_options"]["optimized_attention_override"] = override


def test_an_attention_override_acts(pair: Pair) -> None:
    assert_acts_as_on_the_host_s_own(pair, put_override)


def test_rules_by_block_and_noise_level_act_in_an_override(pair: Pair) -> None:
    seen: list[list[Any]] = [[]]

    def put(model: "ModelPatcher") -> None:
        def override(function: Any, q: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            options = kwargs["transformer_options"]
            names = ("block_index", "total_blocks", "block_type", "grid_sizes")
            given = [options.get(name) for name in names]
            quantised = kwargs.get("low_precision_attention", True)
            seen[-1].append([*given, q.shape, args[0].shape, quantised])
            is_dense = options["block_index"] == 1 or options["sigmas"][0] < 0.5
            return function(q, *args, **kwargs) if is_dense else torch.zeros_like(q)

        model.model_options["transformer_options"]["optimized_attention_override"] = override

    changed = pair.with_change(put)
    try:
        expected = changed.own_forward()
    except KeyError:
        pytest.skip("the host's own Wan does not number its blocks")
    seen.append([])
    given = changed.talking_forward()
    assert_same(given, expected)
    assert (expected - pair.own_forward()).abs().max() > 1e-3
    own, ours = ([call for call in calls if call[4][0] == 1] for calls in seen)  # audio: a row a frame
    assert sorted(map(str, own)) == sorted(map(str, ours)), "told the same of the same attentions"


def test_the_host_s_node_for_an_attention_backend_acts(pair: Pair) -> None:
    from comfy.ldm.modules import attention
    from comfy_extras import nodes_model_advanced as nodes
    from evertalk_pack.nodes.host.model.backend import attention_notes, backend_for
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    node: Any = getattr(nodes, "ModelAttentionBackend", None)
    if node is None:
        pytest.skip("the host has no node for a model's attention")
    (chosen,) = node().patch(pair.talking, "pytorch attention")
    (own,) = node().patch(pair.own, "pytorch attention")
    assert chosen.model_options["transformer_options"]["optimized_attention_override"](
        None, *(torch.ones(1, 2, 4) for _ in range(3)), heads=2
    ).shape == (1, 2, 4)
    both = Pair(own, chosen)
    assert_same(both.talking_forward(), both.own_forward())
    backend = backend_for(chosen, "auto")
    assert (backend.choice.asked, backend.choice.ran, backend.attention) == ("auto", "comfy", None)
    name = attention.attention_pytorch.__name__
    notes = attention_notes(chosen, attachment_of(chosen), "comfy")
    assert notes == (
        f"attention_mode sdpa: the attention that a node put on the MODEL runs: {name} (comfy.model_patcher)",
    )


def halved(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    return 0.5 * function(*args, **kwargs)


@pytest.mark.parametrize("attention_mode", ["auto", "comfy"])
def test_an_attention_that_a_node_put_on_the_model_runs_and_is_said(
    tiny: TinyFiles, vae: Any, attention_mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    talking, embeds = load_model(tiny, attention_mode=attention_mode), speech(tiny, 9)
    calls: list[int] = []

    def override(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(kwargs["heads"])
        return halved(function, *args, **kwargs)

    plain = play_windows(talking, vae, embeds)
    talking.model_options["transformer_options"]["optimized_attention_override"] = override
    assert (play_windows(talking, vae, embeds) - plain).abs().max() > 1e-3
    assert calls == [2] * 4 * 6, "self, text and audio in each of two blocks, in four steps"
    assert f"attention comfy (asked: {attention_mode})" in caplog.text
    said = f"attention_mode {attention_mode}: the attention that a node put on the MODEL runs: "
    assert (
        f"{said}{test_an_attention_that_a_node_put_on_the_model_runs_and_is_said.__name__} (" in caplog.text
    )


def test_auto_goes_on_with_a_backend_of_its_own_where_nothing_is_connected(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.backend import attention_notes, backend_for
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    model = load_model(tiny, attention_mode="auto")
    choice = backend_for(model, "auto").choice
    assert (choice.asked, choice.ran) == ("auto", "sdpa")
    assert attention_notes(model, attachment_of(model), "sdpa") == ()


def test_an_attention_that_gives_no_numbers_is_left_and_said(tiny: TinyFiles, vae: Any) -> None:
    from evertalk_pack.nodes.host.model.backend import FIRST_STEP, backend_for

    def nan(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.nan * function(*args, **kwargs)

    embeds = speech(tiny, 9)
    expected = play_windows(load_model(tiny), vae, embeds)
    talking = load_model(tiny, attention_mode="auto")
    talking.model_options["transformer_options"]["optimized_attention_override"] = nan
    failed = backend_for(talking, "auto")
    after = failed.after_failure(FIRST_STEP)
    assert (after.choice.asked, after.choice.ran) == ("auto", "sdpa")
    assert after.choice.notes[-1].startswith("ComfyUI's attention not available, falling back to sdpa mode")
    assert torch.equal(play_windows(talking, vae, embeds), expected)
    assert backend_for(talking, "auto").choice.ran == "comfy", "another node's attention may be good"


def put_crossed(model: "ModelPatcher") -> None:
    def patch(given: dict[str, Any]) -> torch.Tensor:
        return 1.5 * given["x"]

    model.set_model_attn2_patch(patch)


def test_blocks_with_other_nodes_work_inside_run_uncompiled_and_it_is_said(
    tiny: TinyFiles, vae: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from evertalk_pack.nodes.host.compat.wan_model import honoured_patches
    from evertalk_pack.nodes.host.model import patcher
    from evertalk_pack.wanvideo.forward import block_forward

    if "attn2_patch" not in honoured_patches():
        pytest.skip("the host's own Wan calls no attn2_patch")
    caplog.set_level("INFO")
    compiled: list[int] = []

    def noted(*given: Any) -> torch.Tensor:
        compiled.append(1)
        return block_forward(*given)

    monkeypatch.setattr(patcher, "compiled_block", lambda: noted)
    eager, embeds = load_model(tiny), speech(tiny, 9)
    model = patcher.apply_talk(eager, replace(patcher.attachment_of(eager), compile_blocks=True))
    play_windows(model, vae, embeds)
    assert compiled == [1] * 8
    assert patcher.compiles(model, attend)
    put_crossed(model)
    put_crossed(eager)
    assert torch.equal(play_windows(model, vae, embeds), play_windows(eager, vae, embeds))
    assert compiled == [1] * 8
    assert not patcher.compiles(model, attend)
    assert (
        "compile_blocks: blocks run uncompiled, since other nodes' patches run in them: put_crossed"
        in caplog.text
    )


@dataclass
class MadeFor:
    """What a layer of ComfyUI 0.38 knows of its checkpoint: the attention that it was made for."""

    function: Any


def test_what_a_checkpoint_asks_for_goes_to_the_host_with_the_layer_it_belongs_to(
    tiny: TinyFiles, vae: Any
) -> None:
    from comfy.ldm.modules.attention import attention_pytorch
    from evertalk_pack.nodes.host.model.backend import attention_notes, backend_for
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    talking, handed = load_model(tiny, attention_mode="auto"), list[Any]()
    layers = [
        layer
        for block in talking.model.diffusion_model.blocks
        for layer in (block.self_attn, block.cross_attn)
    ]
    for layer in layers:
        layer.comfy_attention = MadeFor(attention_pytorch)
    assert backend_for(talking, "auto").choice.ran == "comfy"
    assert backend_for(talking, "sdpa").choice.ran == "sdpa"
    name = "attention_pytorch (comfy.ldm.modules.attention)"
    attachment = attachment_of(talking)
    assert attention_notes(talking, attachment, "comfy") == (
        f"attention_mode auto: the attention that the checkpoint asks for runs: {name}",
    )
    assert attention_notes(talking, replace(attachment, attention_mode="sdpa"), "sdpa") == (
        f"attention_mode sdpa: sdpa runs, not what the checkpoint asks for: {name}",
    )

    def noted(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        handed.append(kwargs.pop("preferred_attention", None))
        return function(*args, **kwargs)

    talking.model_options["transformer_options"]["optimized_attention_override"] = noted
    play_windows(talking, vae, speech(tiny, 9))
    first, second, third, fourth = (layer.comfy_attention for layer in layers)
    assert handed == [first, second, None, third, fourth, None] * 4, "audio attention is not a layer's of it"


PADDED_SAGE = """
import torch
KEYS = []
def sageattn(q, k, v, tensor_layout="HND", smooth_k=True):
    KEYS.append(k.shape[1])
    k, v = (torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % 64)) for x in (k, v))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
"""
"""As SageAttention 1.0.6: right over thousands of keys alone."""


def test_a_kernel_for_self_attention_runs_there_and_both_names_are_said(
    tiny: TinyFiles,
    vae: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from evertalk_pack.attention import probe, registry, uses
    from evertalk_pack.attention.hardware import Hardware
    from evertalk_pack.nodes.host.model import backend
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base
    from evertalk_pack.nodes.host.model.patcher import apply_talk, attachment_of
    from evertalk_pack.nodes.host.report.record import recording

    caplog.set_level("INFO")
    (tmp_path / "sageattention.py").write_text(PADDED_SAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sageattention", raising=False)
    ada = registry.Resolver(lambda _device: Hardware("cuda", "NVIDIA GeForce RTX 4090", (8, 9)))
    monkeypatch.setattr(backend, "resolve", ada.resolve)
    for module in (uses, probe):
        monkeypatch.setattr(module, "LONG_KEYS", 9)  # the tiny self-attention has 12 keys, its text 8
    base, _ = load_base(tiny.base, Quantization("bf16"))
    base.model.manual_cast_dtype = (
        torch.bfloat16
    )  # such kernels take no float32, which the host casts to here
    own = load_model(tiny)
    talking = apply_talk(base, replace(attachment_of(own), attention_mode="sageattn"))
    with recording() as record:
        play_windows(talking, vae, speech(tiny, 9))
    from sageattention import KEYS  # pyright: ignore[reportMissingImports]

    assert KEYS[-8:] == [12] * 8, "self-attention of two blocks in four steps"
    assert (record.attention, record.attention_elsewhere) == ("sageattn", "sdpa")
    assert record.warnings == []
    assert "attention sageattn in self-attention, sdpa elsewhere (asked: sageattn)" in caplog.text
    assert "SageAttention runs in self-attention, for which it is right; attention to text" in caplog.text
