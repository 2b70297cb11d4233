"""Audio weights in GGUF form, written here by the `gguf` package."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from safetensors.torch import load_file
from tiny_host import TinyFiles, load_model, play_windows, speech

pytestmark = pytest.mark.host

gguf: Any = pytest.importorskip("gguf")

FRAMES = 9


def write_gguf(path: Path, source: Path, quantised_as: str, prefix: str = "") -> Path:
    """The audio weights of a safetensors file, matrices quantised, vectors as float32."""
    writer = gguf.GGUFWriter(str(path), "wan")
    kind = gguf.GGMLQuantizationType[quantised_as]
    block = gguf.GGML_QUANT_SIZES[kind][0]
    for name, value in load_file(source).items():
        values = value.float().numpy()
        if values.ndim == 2 and values.shape[1] % block == 0:
            data = gguf.quants.quantize(values, kind)
            writer.add_tensor(prefix + name, data, raw_dtype=kind)
        else:
            writer.add_tensor(prefix + name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def loaded(path: Path) -> dict[str, torch.Tensor]:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk

    return load_talk(path, check_talk_file(path, None)).model.state_dict()


@pytest.mark.parametrize(
    ("quantised_as", "tolerance"),
    [("F16", 1e-3), ("BF16", 5e-3), ("Q8_0", 0.01), ("Q5_0", 0.07), ("Q4_0", 0.13)],
)
def test_every_weight_comes_back_as_exact_as_its_quantisation(
    tiny: TinyFiles, tmp_path: Path, quantised_as: str, tolerance: float
) -> None:
    state = loaded(write_gguf(tmp_path / "talk.gguf", tiny.talk, quantised_as))
    exact = load_file(tiny.talk)
    assert state.keys() == exact.keys()
    for name, value in state.items():
        assert value.dtype == torch.float16
        assert value.shape == exact[name].shape
        error = (value.float() - exact[name].float()).norm() / exact[name].float().norm().clamp(min=1e-6)
        assert error <= tolerance, name


@pytest.mark.parametrize("prefix", ["diffusion_model.", "model.diffusion_model."])
def test_a_prefix_is_found(tiny: TinyFiles, tmp_path: Path, prefix: str) -> None:
    state = loaded(write_gguf(tmp_path / "talk.gguf", tiny.talk, "Q8_0", prefix))
    assert state.keys() == load_file(tiny.talk).keys()


def test_a_model_with_gguf_audio_weights_speaks_like_the_original(
    tiny: TinyFiles, vae: Any, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "talk.gguf", tiny.talk, "Q8_0")
    embeds = speech(tiny, FRAMES)
    original = play_windows(load_model(tiny), vae, embeds)
    quantised = play_windows(load_model(TinyFiles(tiny.base, path, tiny.speech, tiny.vae)), vae, embeds)
    assert 0 < (quantised - original).abs().mean() < 0.02 * original.std()


def test_blocks_of_the_k_kind_are_read_too(tmp_path: Path) -> None:
    from evertalk_pack.wanvideo.gguf_weights import read_gguf_tensors

    # The package cannot write Q4_K: two blocks of 256 values whose scales are 0 but for the first's.
    kind = gguf.GGMLQuantizationType.Q4_K
    _, type_bytes = gguf.GGML_QUANT_SIZES[kind]
    data = np.zeros((2, type_bytes), dtype=np.uint8)
    data[0, :2] = np.frombuffer(np.float16(0.5).tobytes(), dtype=np.uint8)
    data[0, 4] = 2  # the first 32 values' own scale
    data[0, 16:48] = 3  # and their values
    writer = gguf.GGUFWriter(str(tmp_path / "k.gguf"), "wan")
    writer.add_tensor("w", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (weight,) = read_gguf_tensors(tmp_path / "k.gguf", str).values()
    assert weight.shape == (2, 256)
    assert weight[0, :32].eq(0.5 * 2 * 3).all()
    assert weight[0, 32:].eq(0).all()
    assert weight[1].eq(0).all()


def test_a_quantisation_that_the_package_does_not_know_is_refused(
    tiny: TinyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "talk.gguf", tiny.talk, "Q8_0")

    def unknown(data: Any, kind: Any) -> Any:
        raise NotImplementedError(kind)

    monkeypatch.setattr(gguf.quants, "dequantize", unknown)
    with pytest.raises(ModelFileError, match=r"talk_model: `talk.gguf` holds .* Run `pip install -U gguf`"):
        loaded(path)


def test_a_gguf_file_that_lacks_a_weight_is_refused_by_its_header(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from safetensors.torch import save_file

    partial = tmp_path / "partial.safetensors"
    save_file({name: v for name, v in load_file(tiny.talk).items() if "proj2.bias" not in name}, partial)
    path = write_gguf(tmp_path / "talk.gguf", partial, "Q8_0")
    with pytest.raises(ModelFileError, match=r"`audio_proj\.proj2\.bias` is missing"):
        check_talk_file(path, None)


def test_a_gguf_base_is_left_to_the_pack_that_loads_it(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_base_file

    path = write_gguf(tmp_path / "base.gguf", tiny.base, "Q8_0")
    expected = r"base_model: `base\.gguf` is a GGUF file, .* GGUF pack's loader and connect EverTalk Apply"
    with pytest.raises(ModelFileError, match=expected):
        check_base_file(path)


def dequantising_ops() -> Any:
    """The host's operations with linear layers that hold blocks of bytes and dequantise them on each call.

    They stand in for the GGUF pack's own, which are not installed here: that pack's loader is not tested.
    """
    import comfy.ops

    kind = gguf.GGMLQuantizationType.Q8_0

    class Linear(comfy.ops.manual_cast.Linear):  # type: ignore[misc, name-defined]
        def _load_from_state_dict(self, state: Any, prefix: str, *args: Any) -> None:  # type: ignore[override]
            del args
            values = state.pop(prefix + "weight").float().numpy()
            blocks = torch.from_numpy(gguf.quants.quantize(values, kind).copy())
            self.weight = torch.nn.Parameter(blocks, requires_grad=False)
            self.bias = torch.nn.Parameter(state.pop(prefix + "bias"), requires_grad=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weight = torch.from_numpy(gguf.quants.dequantize(self.weight.numpy(), kind))
            return torch.nn.functional.linear(x, weight.to(x), self.bias.to(x))

    class Operations(comfy.ops.manual_cast):  # type: ignore[misc, name-defined]
        pass

    Operations.Linear = Linear  # type: ignore[misc]
    return Operations


def test_a_base_whose_layers_dequantise_on_each_call_speaks(tiny: TinyFiles, vae: Any) -> None:
    import comfy.sd
    from comfy.utils import load_torch_file
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    state = load_torch_file(str(tiny.base), safe_load=True)
    base: Any = comfy.sd.load_diffusion_model_state_dict(
        state, model_options={"custom_operations": dequantising_ops()}
    )
    assert base.model.diffusion_model.blocks[0].ffn[0].weight.dtype == torch.uint8
    talk = load_talk(tiny.talk, check_talk_file(tiny.talk, None))
    model = apply_talk(base, AudioAttachment(tiny.talk.name, "infinitetalk", "sdpa", talk))
    embeds = speech(tiny, FRAMES)
    original = play_windows(load_model(tiny), vae, embeds)
    quantised = play_windows(model, vae, embeds)
    assert 0 < (quantised - original).abs().mean() < 0.05 * original.std()
