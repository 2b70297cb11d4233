"""Every model loads also where the host's layers have no weights before: as on a GPU with dynamic VRAM."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from evertalk_pack.multitalk.common.types import Waveform
from safetensors.torch import load_file, save_file
from tiny_host import TinyFiles, play_windows, speech
from tiny_speech import BASE, LARGE, speech_like, tiny_encoder

pytestmark = pytest.mark.host

Lazily = Callable[[], AbstractContextManager[None]]
BASE_FORMS = ("as stored", "bf16", "fp16", "fp32", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2", "fp8_rowwise")
FRAMES = 9


def load_base(path: Path, form: str, *, dynamic: bool) -> Any:
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    return load_base(path, Quantization(form), dynamic=dynamic)


def load_talk(path: Path, *, dynamic: bool = True) -> Any:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    return load_talk(path, check_talk_file(path, None), dynamic=dynamic)


def talking(tiny: TinyFiles, base: Any, talk: Any) -> Any:
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    return apply_talk(base, AudioAttachment(tiny.talk.name, "infinitetalk", "sdpa", talk))


def check_same_weights(one: Any, other: Any) -> None:
    first, second = one.model.state_dict(), other.model.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype is second[name].dtype, name
        assert torch.equal(value.float(), second[name].float()), name


def half_of(source: Path, path: Path, dtype: torch.dtype) -> Path:
    """A copy of a checkpoint whose matrices are held as `dtype`, and all else as fp16."""
    save_file(
        {
            name: value.to(dtype if value.ndim == 2 else torch.float16)
            for name, value in load_file(source).items()
        },
        path,
    )
    return path


def test_the_host_s_layers_have_no_weights_before_a_file_is_loaded(lazily: Lazily) -> None:
    import comfy.ops

    with lazily():
        layer: Any = comfy.ops.manual_cast.Linear(4, 3)
        assert layer.weight is None
    assert comfy.ops.manual_cast.Linear(4, 3).weight.shape == (3, 4), "and again afterwards"


@pytest.mark.parametrize("form", BASE_FORMS)
def test_a_base_that_is_held_plainly_has_the_weights_that_were_asked_for(
    tiny: TinyFiles, lazily: Lazily, form: str
) -> None:
    eager, said = load_base(tiny.base, form, dynamic=False)
    with lazily():
        lazy, told = load_base(tiny.base, form, dynamic=False)
    check_same_weights(lazy, eager)
    assert told == said


@pytest.mark.parametrize("form", BASE_FORMS)
def test_a_base_whose_weights_come_at_use_says_the_precision_that_was_asked_for(
    tiny: TinyFiles, lazily: Lazily, form: str
) -> None:
    _, said = load_base(tiny.base, form, dynamic=True)
    with lazily():
        _, told = load_base(tiny.base, form, dynamic=True)
    assert told == said


@pytest.mark.parametrize("form", ["as stored", "bf16", "fp8_e4m3fn"])
def test_a_model_that_was_loaded_lazily_makes_the_same_frames(
    tiny: TinyFiles, vae: Any, lazily: Lazily, form: str
) -> None:
    # Held plainly: weights that come at use are cast by what a GPU alone has.
    def loaded() -> Any:
        return talking(
            tiny, load_base(tiny.base, form, dynamic=False)[0], load_talk(tiny.talk, dynamic=False)
        )

    eager = loaded()
    with lazily():
        lazy = loaded()
    embeds = speech(tiny, FRAMES)
    assert torch.equal(play_windows(lazy, vae, embeds), play_windows(eager, vae, embeds))


@pytest.mark.parametrize("dynamic", [True, False], ids=["dynamic", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_audio_weights_keep_their_own_precision(
    tiny: TinyFiles, tmp_path: Path, lazily: Lazily, dtype: str, *, dynamic: bool
) -> None:
    path = half_of(tiny.talk, tmp_path / f"talk_{dtype}.safetensors", getattr(torch, dtype))
    eager = load_talk(path, dynamic=dynamic)
    with lazily():
        lazy = load_talk(path, dynamic=dynamic)
    check_same_weights(lazy, eager)
    assert lazy.model.state_dict()["blocks.0.audio_cross_attn.q_linear.weight"].dtype is getattr(torch, dtype)


def test_audio_weights_that_lack_a_tensor_are_refused(
    tiny: TinyFiles, tmp_path: Path, lazily: Lazily
) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk as load

    path = tmp_path / "talk.safetensors"
    config = check_talk_file(tiny.talk, None)
    lost = "blocks.1.audio_cross_attn.proj.weight"
    save_file({name: value for name, value in load_file(tiny.talk).items() if name != lost}, path)
    with (
        lazily(),
        pytest.raises(ModelFileError, match=r"does not hold a whole set [\s\S]*1\.audio_cross_attn\.proj"),
    ):
        load(path, config)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
def test_a_speech_encoder_encodes_the_same(
    tmp_path: Path, lazily: Lazily, config: Any, dtype: torch.dtype
) -> None:
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    path = tmp_path / "encoder.safetensors"
    save_file({name: value.to(dtype) for name, value in tiny_encoder(config).state_dict().items()}, path)
    sound = Waveform(speech_like(16000)[None], 16000)
    eager = load_speech_encoder(path)
    with lazily():
        lazy = load_speech_encoder(path)
    assert lazy.config == eager.config
    ((told,), (said,)) = (list(model.encode(sound, 25, 16000, None)) for model in (lazy, eager))
    assert torch.equal(told, said)


def test_a_speech_encoder_that_lacks_a_weight_is_refused(tmp_path: Path, lazily: Lazily) -> None:
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    path = tmp_path / "encoder.safetensors"
    lost = "encoder.layers.1.feed_forward.output_dense.bias"
    save_file({name: v for name, v in tiny_encoder().state_dict().items() if name != lost}, path)
    with lazily(), pytest.raises(ModelFileError, match=rf": 1 weights? .* first {lost}"):
        load_speech_encoder(path)
