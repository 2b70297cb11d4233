"""Where blocks are compiled although dynamic VRAM is on, and where they are better not."""

from typing import Any

import pytest
from evertalk_pack.multitalk.common.errors import InputError
from tiny_host import TinyFiles

pytestmark = pytest.mark.host

GIB = 1024**3


@pytest.fixture
def dynamic_vram(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a server that has found a GPU for it."""
    memory = pytest.importorskip("comfy.memory_management", reason="this ComfyUI has no dynamic VRAM")
    monkeypatch.setattr(memory, "aimdo_enabled", True)


def identity_of(gib: float, monkeypatch: pytest.MonkeyPatch, taken_gib: float = 0) -> None:
    """A card with nothing of the host's on it, of which other programs take some."""
    import comfy.model_management as host

    def total_memory(*_args: Any, **_named: Any) -> float:
        return gib * GIB

    def free_memory(*_args: Any, **_named: Any) -> float:
        return (gib - taken_gib) * GIB

    monkeypatch.setattr(host, "get_total_memory", total_memory)
    monkeypatch.setattr(host, "get_free_memory", free_memory)
    monkeypatch.setattr(host, "current_loaded_models", [])


@pytest.mark.usefixtures("dynamic_vram")
def test_blocks_are_compiled_where_weights_and_work_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.compat.plain_memory import too_large_to_compile

    identity_of(32, monkeypatch)
    assert too_large_to_compile(20 * GIB) is None


@pytest.mark.usefixtures("dynamic_vram")
def test_where_they_do_not_fit_it_is_said_how_large_both_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.compat.plain_memory import too_large_to_compile

    identity_of(16, monkeypatch)
    said = too_large_to_compile(20 * GIB)
    assert said is not None
    assert said.startswith("compile_blocks: not used, since 20.0 GiB of weights")
    assert "the 16.0 GiB of this GPU that ComfyUI can have" in said


@pytest.mark.usefixtures("dynamic_vram")
def test_what_other_programs_take_of_a_large_card_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.compat.plain_memory import too_large_to_compile

    identity_of(141, monkeypatch, taken_gib=125)
    said = too_large_to_compile(20 * GIB)
    assert said is not None
    assert "the 16.0 GiB of this GPU" in said


def test_without_dynamic_vram_they_are_compiled_on_any_card(monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.compat.plain_memory import too_large_to_compile

    identity_of(8, monkeypatch)
    assert too_large_to_compile(20 * GIB) is None


def test_a_loaded_base_takes_what_its_header_promised(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.compat.precision import held_bytes
    from evertalk_pack.nodes.host.model.loaders import Quantization, expected_bytes, load_base

    for name in ("fp32", "bf16", "fp8_e4m3fn"):
        form = Quantization(name)
        model, _ = load_base(tiny.base, form)
        held = held_bytes(model.model.diffusion_model)
        # The host keeps a few small weights in float32, and a file has a header.
        assert held == pytest.approx(expected_bytes(tiny.base, form), rel=0.2)


def test_the_choice_is_kept_and_nothing_said_where_nothing_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from evertalk_pack.nodes.host.model.talking_model import TalkChoice, compiled_if_it_fits

    identity_of(1, monkeypatch)
    for choice in (
        TalkChoice("talk.safetensors", "auto", "auto"),
        TalkChoice("talk.safetensors", "auto", "comfy", compile_blocks=True),
    ):
        assert compiled_if_it_fits(choice, 20 * GIB) == (choice, ())


@pytest.mark.usefixtures("dynamic_vram")
def test_a_choice_that_does_not_fit_goes_on_uncompiled_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.model.talking_model import TalkChoice, compiled_if_it_fits

    identity_of(16, monkeypatch)
    choice, notes = compiled_if_it_fits(
        TalkChoice("talk.safetensors", "auto", "auto", compile_blocks=True), 20 * GIB
    )
    assert not choice.compile_blocks
    assert len(notes) == 1


def test_a_model_whose_loader_cannot_load_it_again_is_refused_by_name(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.compat.plain_memory import in_plain_memory
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    model: Any = load_base(tiny.base, Quantization.AS_STORED)[0]
    assert in_plain_memory(model) is model, "dynamic VRAM has not got it"
    if not hasattr(model, "cached_patcher_init"):
        pytest.skip("this ComfyUI loads no model a second time")
    model.is_dynamic = lambda: True
    plain = in_plain_memory(model)
    assert plain.model is not model.model
    model.cached_patcher_init = None
    with pytest.raises(InputError, match="Switch compile_blocks off"):
        in_plain_memory(model)
