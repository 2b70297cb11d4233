"""Base and audio weights in every form in which they are in circulation, against the same in float32.

The bounds are what each form was seen to cost on the tiny models, and a third more: the mean difference of a
window's latents, in their standard deviations.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import quantised_files as forms
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from tiny_host import TinyFiles, load_model, play_windows, speech

pytestmark = pytest.mark.host

FRAMES = 9
FP8_BASE = 0.067
"""What plain fp8 costs the base."""


@dataclass(frozen=True)
class Form:
    """A form of weights, how to write it, and what it may cost the audio weights and the base."""

    name: str
    write: Callable[[Path, Path], Path]
    talk: float
    base: float
    format: str | None = None
    """The format of the form of 2026, which not every host knows."""


def plain(dtype: torch.dtype, prefix: str = "") -> Callable[[Path, Path], Path]:
    return lambda source, path: forms.plain(source, path, dtype, prefix)


def old(format_name: str, **options: Any) -> Callable[[Path, Path], Path]:
    return lambda source, path: forms.old_scaled(source, path, format_name, **options)


def new(format_name: str, **options: Any) -> Callable[[Path, Path], Path]:
    return lambda source, path: forms.remarked(source, path, format_name, **options)


def remarks(format_name: str, talk: float, base: float, **options: Any) -> Form:
    name = "-".join(("remarked", format_name, *options))
    return Form(name, new(format_name, **options), talk, base, format_name)


FORMS = [
    Form("fp16", plain(torch.float16), 5e-5, 1e-6),
    Form("bf16", plain(torch.bfloat16), 7e-4, 3e-3),
    Form("fp32", plain(torch.float32), 1e-6, 1e-6),
    Form("fp8_e4m3fn", plain(torch.float8_e4m3fn), 0.016, FP8_BASE),
    Form("fp8_e5m2", plain(torch.float8_e5m2), 0.026, 0.17),
    Form("scaled-e4m3fn", old("float8_e4m3fn"), 0.0075, 0.002),
    Form("scaled-e5m2", old("float8_e5m2"), 0.012, 0.004),
    Form("scaled-beside-fp32", old("float8_e4m3fn", others_as=torch.float32), 0.0075, 0.002),
    Form("scaled-everywhere", old("float8_e4m3fn", wanted=forms.everywhere), 0.012, 0.075),
    Form("scaled-under-prefix", old("float8_e4m3fn", prefix="diffusion_model."), 0.0075, 0.002),
    Form("scales-without-remark", forms.without_remark, 0.0075, 0.002, "float8_e4m3fn"),
    Form("prefix", plain(torch.float16, "diffusion_model."), 5e-5, 1e-6),
    Form("long-prefix", plain(torch.float16, "model.diffusion_model."), 5e-5, 1e-6),
    remarks("float8_e4m3fn", 0.0075, 0.002),
    remarks("float8_e4m3fn", 0.0075, 0.002, in_metadata=True),
    remarks("float8_e4m3fn", 0.0075, 0.002, prefix="diffusion_model."),
    remarks("float8_e5m2", 0.012, 0.004),
    remarks("nvfp4", 0.027, 0.008),
    remarks("nvfp4", 0.043, 0.34, wanted=forms.everywhere),
    remarks("mxfp8", 0.0055, 0.019),
    remarks("int8_tensorwise", 0.0026, 0.1),
    remarks("convrot_w4a4", 0.03, 0.68, wanted=forms.wide_in_blocks),
    remarks("asym_w4a8_int8", 0.03, 0.05, wanted=forms.wide_in_blocks),
]

by_name = pytest.mark.parametrize("form", [pytest.param(form, id=form.name) for form in FORMS])


@pytest.fixture(scope="module")
def embeds(tiny: TinyFiles) -> Any:
    return speech(tiny, FRAMES)


@pytest.fixture(scope="module")
def exact(tiny: TinyFiles, vae: Any, embeds: Any) -> torch.Tensor:
    """A window of the tiny models as they are."""
    return play_windows(load_model(tiny), vae, embeds).float()


def cost(files: TinyFiles, vae: Any, embeds: Any, exact: torch.Tensor) -> float:
    latents = play_windows(load_model(files), vae, embeds).float()
    return float((latents - exact).abs().mean() / exact.std())


def need_format(form: Form, *, is_audio: bool) -> None:
    """Skip a form that the host at hand has not."""
    from evertalk_pack.nodes.host.compat.quantised import host_formats, reads_remarks

    known = host_formats()
    if not reads_remarks() and is_audio:
        known |= {"float8_e4m3fn", "float8_e5m2"}  # its operations of old scaled fp8 take them
    if form.format not in (None, *known):
        pytest.skip(f"this ComfyUI has no {form.format}")


@by_name
def test_audio_weights_in_each_form_speak_like_the_originals(
    tiny: TinyFiles, vae: Any, embeds: Any, exact: torch.Tensor, tmp_path: Path, form: Form
) -> None:
    need_format(form, is_audio=True)
    path = form.write(tiny.talk, tmp_path / "talk.safetensors")
    assert cost(replace(tiny, talk=path), vae, embeds, exact) <= form.talk


@by_name
def test_a_base_in_each_form_speaks_like_the_original(
    tiny: TinyFiles, vae: Any, embeds: Any, exact: torch.Tensor, tmp_path: Path, form: Form
) -> None:
    import comfy.ops

    need_format(form, is_audio=False)
    bound = form.base
    if hasattr(comfy.ops, "scaled_fp8_ops") and form.name.startswith("scaled"):
        # This host holds all other matrices of such a file in fp8 too, without scales.
        bound = 0.17 if "e5m2" in form.name else FP8_BASE + 0.01
    path = form.write(tiny.base, tmp_path / "base.safetensors")
    assert cost(replace(tiny, base=path), vae, embeds, exact) <= bound


WEIGHT_ERRORS = {
    "float8_e4m3fn": 0.04,
    "float8_e5m2": 0.08,
    "nvfp4": 0.13,
    "mxfp8": 0.04,
    "int8_tensorwise": 0.012,
    "convrot_w4a4": 0.15,
    "asym_w4a8_int8": 0.12,
}


@pytest.mark.parametrize("name", WEIGHT_ERRORS)
def test_each_matrix_is_what_was_quantised(tiny: TinyFiles, tmp_path: Path, name: str) -> None:
    from comfy.quant_ops import QuantizedTensor
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base
    from safetensors.torch import load_file

    need_format(Form(name, plain(torch.float16), 0, 0, name), is_audio=False)
    path = forms.remarked(tiny.base, tmp_path / "base.safetensors", name)
    model, said = load_base(path, Quantization.AS_STORED)
    assert said.startswith(f"quantization as stored: weights held as {name}, computed in ")
    weight: Any = model.model.diffusion_model.blocks[0].ffn[0].weight
    assert isinstance(weight, QuantizedTensor)
    expected = load_file(tiny.base)["blocks.0.ffn.0.weight"].float()
    assert 0 < (weight.dequantize().float() - expected).norm() / expected.norm() < WEIGHT_ERRORS[name]


def test_what_was_asked_for_and_not_done_is_said(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    path = forms.old_scaled(tiny.base, tmp_path / "base.safetensors")
    _, said = load_base(path, Quantization.BF16)
    assert said.startswith("quantization bf16: weights held as float8_e4m3fn as in the file, computed in ")


@pytest.mark.parametrize(
    ("write", "held"),
    [
        (plain(torch.bfloat16), "bfloat16"),
        (old("float8_e5m2"), "float8_e5m2, float16"),
        (new("float8_e4m3fn", wanted=forms.everywhere), "float8_e4m3fn"),
    ],
)
def test_the_log_tells_the_form_of_the_audio_weights(
    tiny: TinyFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture, write: Any, held: str
) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    path = write(tiny.talk, tmp_path / "talk.safetensors")
    with caplog.at_level(logging.INFO, logger="evertalk"):
        load_talk(path, check_talk_file(path, None))
    assert f"audio weights talk.safetensors: held as {held}, 2 blocks" in caplog.messages


@pytest.mark.parametrize("part", ["base", "talk"])
@pytest.mark.parametrize(("name", "release"), [("nvfp4", " to 0.7.0 or later"), ("int1_of_tomorrow", "")])
def test_a_format_that_the_host_cannot_read_is_refused_by_name(
    tiny: TinyFiles, tmp_path: Path, part: str, name: str, release: str
) -> None:
    import comfyui_version
    from evertalk_pack.nodes.host.compat.quantised import host_formats
    from evertalk_pack.nodes.host.model.files import check_base_file, check_talk_file

    if name in host_formats():
        pytest.skip(f"this ComfyUI reads {name}")
    path = forms.unwritable(getattr(tiny, part), tmp_path / "new.safetensors", name)
    expected = (
        f"{part}_model: `new.safetensors` holds weights as {name}, which ComfyUI "
        f"{comfyui_version.__version__} cannot read. Update ComfyUI{release}, or choose a file in fp16, bf16 "
        "or fp8."
    )
    with pytest.raises(ModelFileError) as refused:
        check_base_file(path) if part == "base" else check_talk_file(path, None)
    assert str(refused.value) == expected


@pytest.mark.parametrize("in_metadata", [False, True])
def test_fp8_with_remarks_is_no_base_where_the_host_makes_nothing_usable_of_it(
    tiny: TinyFiles, tmp_path: Path, in_metadata: bool
) -> None:
    from evertalk_pack.nodes.host.compat.quantised import reads_remarks
    from evertalk_pack.nodes.host.model.files import check_base_file, check_talk_file

    if reads_remarks():
        pytest.skip("this ComfyUI reads it")
    write = new("float8_e4m3fn", in_metadata=in_metadata)
    with pytest.raises(ModelFileError, match=r"float8_e4m3fn, which .* Update ComfyUI to 0\.4\.0 or later"):
        check_base_file(write(tiny.base, tmp_path / "base.safetensors"))
    check_talk_file(write(tiny.talk, tmp_path / "talk.safetensors"), None)


def test_without_the_package_that_computes_them_formats_are_refused(
    tiny: TinyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.quant_ops
    from evertalk_pack.nodes.host.model.files import check_talk_file

    if not hasattr(comfy.quant_ops, "_CK_AVAILABLE"):
        pytest.skip("this ComfyUI computes its formats itself")
    path = forms.unwritable(tiny.talk, tmp_path / "new.safetensors", "nvfp4")
    check_talk_file(path, None)
    monkeypatch.setattr(comfy.quant_ops, "_CK_AVAILABLE", False)
    with pytest.raises(ModelFileError, match=r"needs the package `comfy-kitchen`\. Run `pip install -r"):
        check_talk_file(path, None)


ROWWISE = {
    "scaled": old("float8_e4m3fn"),
    "scaled-everywhere": old("float8_e4m3fn", wanted=forms.everywhere),
    "remarked": new("float8_e4m3fn"),
    "under-prefix": old("float8_e4m3fn", prefix="diffusion_model."),
}


@pytest.mark.parametrize("name", ROWWISE)
def test_fp8_rowwise_is_made_of_scaled_fp8_in_any_form(tiny: TinyFiles, tmp_path: Path, name: str) -> None:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    path = ROWWISE[name](tiny.base, tmp_path / "base.safetensors")
    trees = [load_base(file, Quantization.FP8_ROWWISE)[0].model.diffusion_model for file in (path, tiny.base)]
    for layer in ("blocks.0.self_attn.q", "blocks.1.ffn.2", "text_embedding.0", "time_projection.1"):
        found, expected = (tree.get_submodule(layer) for tree in trees)
        values = [one.convert_weight(one.weight).float() for one in (found, expected)]
        assert (values[0] - values[1]).norm() / values[1].norm() < 0.06, layer


def test_fp8_rowwise_is_made_of_nothing_else(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    path = forms.unwritable(tiny.base, tmp_path / "base.safetensors", "nvfp4")
    with pytest.raises(ModelFileError, match=r"quantization: fp8_rowwise is made .*`base\.safetensors` hold"):
        load_base(path, Quantization.FP8_ROWWISE)


@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("name", ["float8_e4m3fn", "nvfp4", "mxfp8", "int8_tensorwise"])
def test_quantised_audio_weights_go_into_one_graph(tiny: TinyFiles, tmp_path: Path, name: str) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    need_format(Form(name, plain(torch.float16), 0, 0, name), is_audio=True)
    path = forms.remarked(tiny.talk, tmp_path / "talk.safetensors", name)
    layer: Any = load_talk(path, check_talk_file(path, None)).model.blocks[0].audio_cross_attn
    x = torch.randn(1, 8, 256, dtype=torch.bfloat16)

    def twice(tokens: torch.Tensor) -> torch.Tensor:
        return layer.proj(layer.q_linear(tokens))

    with torch.inference_mode():
        compiled: Any = torch.compile(twice, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(x), twice(x))


@pytest.fixture
def lazy_layers() -> Iterator[None]:
    """The host's layers without weights until they are loaded, as with dynamic VRAM on a GPU."""
    import comfy

    memory: Any = getattr(comfy, "memory_management", None)
    if not hasattr(memory, "aimdo_enabled"):
        pytest.skip("this ComfyUI has no dynamic VRAM")
    import comfy_aimdo.control  # pyright: ignore[reportMissingImports]

    assert comfy_aimdo.control.init(), "it maps files without a GPU too"
    before = memory.aimdo_enabled
    memory.aimdo_enabled = True
    yield
    memory.aimdo_enabled = before


@pytest.mark.usefixtures("lazy_layers")
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize(
    "write", [plain(torch.float16), old("float8_e4m3fn"), new("nvfp4")], ids=["fp16", "scaled", "nvfp4"]
)
def test_audio_weights_load_into_lazy_layers(
    tiny: TinyFiles, tmp_path: Path, write: Any, dynamic: bool
) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    path = write(tiny.talk, tmp_path / "talk.safetensors")
    talk = load_talk(path, check_talk_file(path, None), dynamic=dynamic)
    x, tokens = torch.randn(1, 8, 256), torch.randn(1, 2, 8, 64)
    layer: Any = talk.model.blocks[1].audio_cross_attn
    assert torch.isfinite(layer.q_linear(x)).all()
    assert torch.isfinite(layer.kv_linear(tokens)).all()
    assert not any(value.is_meta for value in talk.model.state_dict().values())


@pytest.mark.usefixtures("lazy_layers")
def test_a_weight_that_lazy_layers_miss_is_named(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk
    from safetensors.torch import load_file, save_file

    config = check_talk_file(tiny.talk, None)
    path = tmp_path / "talk.safetensors"
    name = "blocks.1.audio_cross_attn.proj.weight"
    save_file({key: value for key, value in load_file(tiny.talk).items() if key != name}, path)
    with pytest.raises(ModelFileError, match=name.replace(".", r"\.")):
        load_talk(path, config)
