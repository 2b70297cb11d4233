"""How weights are held, and what is refused before any of them is read."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError, ModelFileError
from quantised_files import everywhere, old_scaled
from safetensors.torch import load_file, save_file
from tiny_host import TinyFiles, play_windows, speech

pytestmark = pytest.mark.host


@pytest.mark.parametrize(
    ("asked", "dtype", "note"),
    [
        ("as stored", torch.float32, "quantization as stored: weights held as float32, computed in float32"),
        ("bf16", torch.bfloat16, "quantization bf16: weights held as bfloat16, computed in "),
        ("fp16", torch.float16, "quantization fp16: weights held as float16, computed in "),
        ("fp32", torch.float32, "quantization fp32: weights held as float32, computed in float32"),
        ("fp8_e4m3fn", torch.float8_e4m3fn, "quantization fp8_e4m3fn: weights held as float8_e4m3fn, comp"),
        ("fp8_e5m2", torch.float8_e5m2, "quantization fp8_e5m2: weights held as float8_e5m2, computed in "),
        (
            "fp8_e4m3fn_fast",
            torch.float8_e4m3fn,
            "quantization fp8_e4m3fn_fast: weights held as float8_e4m3fn, computed in float32, no fp8 matrix",
        ),
    ],
)
def test_quantization_reaches_the_weights_and_the_note_says_so(
    tiny: TinyFiles, asked: str, dtype: torch.dtype, note: str
) -> None:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    model, said = load_base(tiny.base, Quantization(asked))
    assert said.startswith(note)
    blocks = model.model.diffusion_model.blocks
    assert {block.ffn[0].weight.dtype for block in blocks} == {dtype}


def test_a_quantised_model_still_speaks(tiny: TinyFiles, vae: Any) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base, load_talk
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    embeds = speech(tiny, 9)
    results: list[torch.Tensor] = []
    for quantization in (Quantization.FP32, Quantization.BF16, Quantization.FP8_E4M3FN):
        base, _ = load_base(tiny.base, quantization)
        talk = load_talk(tiny.talk, check_talk_file(tiny.talk, None))
        model = apply_talk(base, AudioAttachment(tiny.talk.name, "infinitetalk", "sdpa", talk))
        results.append(play_windows(model, vae, embeds).float())
    exact, bf16, fp8 = results
    assert 0 < (bf16 - exact).abs().mean() < 0.1
    assert 0 < (fp8 - exact).abs().mean() < 0.5


def test_audio_weights_keep_their_own_precision(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    path = tmp_path / "half.safetensors"
    save_file({name: value.half() for name, value in load_file(tiny.talk).items()}, path)
    talk = load_talk(path, check_talk_file(path, None))
    assert {value.dtype for value in talk.model.state_dict().values()} == {torch.float16}


@pytest.fixture
def offered(tiny: TinyFiles, tmp_path: Path) -> Any:
    """The tiny files in the host's folders, beside others that the test writes into `tmp_path`."""
    import folder_paths

    names = ("diffusion_models", "model_patches")
    kept = {name: folder_paths.folder_names_and_paths[name] for name in names}
    for name, file in zip(names, (tiny.base, tiny.talk), strict=True):
        places = [str(file.parent), str(tmp_path)]
        folder_paths.folder_names_and_paths[name] = (places, kept[name][1])
    folder_paths.filename_list_cache.clear()
    yield
    folder_paths.folder_names_and_paths.update(kept)
    folder_paths.filename_list_cache.clear()


def choices(tiny: TinyFiles, **changed: str) -> tuple[Any, Any]:
    from evertalk_pack.nodes.host.model.loaders import Quantization
    from evertalk_pack.nodes.host.model.talking_model import BaseChoice, TalkChoice

    names = {"base": tiny.base.name, "talk": tiny.talk.name, "mode": "auto", "attention": "auto"} | changed
    base = BaseChoice(names["base"], Quantization.AS_STORED, "none", 1.0)
    return base, TalkChoice(names["talk"], names["mode"], names["attention"])


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize(
    ("mode", "name", "used", "note"),
    [
        ("auto", "evertalk_tiny_infinitetalk.safetensors", "infinitetalk", "auto, from the name evertalk_t"),
        ("auto", "Wan_MultiTalk.safetensors", "multitalk", "mode multitalk: auto, from the name Wan_Multi"),
        ("auto", "nameless.safetensors", "infinitetalk", "the name nameless.safetensors does not say; choos"),
        ("multitalk", "evertalk_tiny_infinitetalk.safetensors", "multitalk", "mode multitalk: as chosen"),
        ("infinitetalk", "Wan_MultiTalk.safetensors", "infinitetalk", "mode infinitetalk: as chosen"),
    ],
)
def test_the_choice_of_mode_goes_before_the_file_s_name(
    tiny: TinyFiles, tmp_path: Path, mode: str, name: str, used: str, note: str
) -> None:
    from evertalk_pack.nodes.host.model.patcher import attachment_of
    from evertalk_pack.nodes.host.model.talking_model import load_choice

    if not (tiny.talk.parent / name).exists():
        (tmp_path / name).write_bytes(tiny.talk.read_bytes())
    attachment = attachment_of(load_choice(*choices(tiny, talk=name, mode=mode)))
    assert attachment.mode == used
    assert note in " ".join(attachment.notes)
    assert "quantization as stored: weights held as" in attachment.notes[0]


@pytest.mark.usefixtures("offered")
def test_scaled_files_whose_projector_is_plain_are_chosen_like_any_other(
    tiny: TinyFiles, vae: Any, tmp_path: Path
) -> None:
    from evertalk_pack.nodes.host.model.talking_model import load_choice

    talk = old_scaled(tiny.talk, tmp_path / "InfiniteTalk_fp8_e4m3fn_scaled.safetensors")
    base = old_scaled(tiny.base, tmp_path / "wan_fp8_scaled.safetensors", wanted=everywhere)
    model = load_choice(*choices(tiny, talk=talk.name, base=base.name))
    assert torch.isfinite(play_windows(model, vae, speech(tiny, 9))).all()


def unreadable_weights(path: Path, source: Path, drop: str) -> None:
    """A copy of a checkpoint that lacks one tensor."""
    save_file({name: value for name, value in load_file(source).items() if name != drop}, path)


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base": "absent.safetensors"}, "base_model: there is no file `absent.safetensors`"),
        ({"talk": "absent.safetensors"}, "talk_model: there is no file `absent.safetensors`"),
        (
            {"talk": "incomplete.safetensors"},
            "talk_model: `incomplete.safetensors` is not a whole talk model",
        ),
    ],
)
def test_wrong_files_are_refused_before_a_tensor_is_read(
    tiny: TinyFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    message: str,
) -> None:
    import comfy.utils
    from evertalk_pack.nodes.host.model import loaders
    from evertalk_pack.nodes.host.model.talking_model import load_choice

    unreadable_weights(tmp_path / "incomplete.safetensors", tiny.talk, "audio_proj.proj2.bias")
    read: list[str] = []
    host_load = comfy.utils.load_torch_file

    def noting(path: str, *args: Any, **kwargs: Any) -> Any:
        read.append(path)
        return host_load(path, *args, **kwargs)

    monkeypatch.setattr(comfy.utils, "load_torch_file", noting)
    monkeypatch.setattr(loaders, "load_torch_file", noting)
    with pytest.raises(ModelFileError, match=message):
        load_choice(*choices(tiny, **changed))
    assert read == []
    load_choice(*choices(tiny))
    assert len(read) == 2, "the watch sees what is read"


@pytest.mark.usefixtures("offered")
def test_an_unknown_backend_is_refused_before_weights_load(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.model_loader import EverTalkModelLoader

    talk = {"talk_model": tiny.talk.name, "mode": "auto", "attention_mode": "fast"}
    expected = r"attention_mode: 'fast' is unknown here. Choose one of auto, comfy"
    with pytest.raises(InputError, match=expected):
        EverTalkModelLoader.execute(tiny.base.name, "as stored", "none", 1.0, **talk)


@pytest.mark.usefixtures("offered")
def test_names_that_come_over_a_link_are_not_checked_when_queued(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.apply import EverTalkApply
    from evertalk_pack.nodes.model_loader import EverTalkModelLoader

    assert asyncio.run(EverTalkModelLoader.validate_inputs()) is True
    assert asyncio.run(EverTalkApply.validate_inputs()) is True
    assert asyncio.run(EverTalkApply.validate_inputs(talk_model=tiny.talk.name)) is True
    swapped = asyncio.run(EverTalkApply.validate_inputs(talk_model=tiny.base.name))
    assert "is a Wan 2.1 image-to-video model" in str(swapped)
