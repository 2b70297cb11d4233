import asyncio
from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from safetensors.torch import save_file
from tiny_speech import BASE, tiny_encoder

pytestmark = pytest.mark.host


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's folder of audio encoders, with one tiny encoder in it."""
    import folder_paths

    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "audio_encoders", ([str(tmp_path)], {".safetensors"})
    )
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    save_file(tiny_encoder().state_dict(), tmp_path / "tiny.safetensors")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_offers_and_loads_the_files_of_the_folder() -> None:
    from comfy_api.latest import io
    from evertalk_pack.nodes.audio_encoder_loader import EverTalkAudioEncoderLoader
    from evertalk_pack.nodes.host.codecs.speech import SpeechEncoderModel

    [choice] = EverTalkAudioEncoderLoader.define_schema().inputs
    assert isinstance(choice, io.Combo.Input)
    assert choice.options is not None
    assert "tiny.safetensors" in choice.options
    assert asyncio.run(EverTalkAudioEncoderLoader.validate_inputs("tiny.safetensors")) is True
    output = EverTalkAudioEncoderLoader.execute("tiny.safetensors")
    assert output.result is not None
    [model] = output.result
    assert isinstance(model, SpeechEncoderModel)
    assert model.config == BASE


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("x.pth", "is not a .safetensors file"),
        ("gone.safetensors", "put the file there"),
        ("broken.safetensors", "download it again"),
    ],
)
def test_an_unusable_choice_is_refused_before_the_run(folder: Path, name: str, complaint: str) -> None:
    from evertalk_pack.nodes.audio_encoder_loader import EverTalkAudioEncoderLoader

    (folder / "broken.safetensors").write_bytes(b"no model")
    verdict = asyncio.run(EverTalkAudioEncoderLoader.validate_inputs(name))
    assert isinstance(verdict, str)
    assert verdict.startswith("encoder: ")
    assert complaint in verdict


def test_a_file_that_changed_is_loaded_again(folder: Path) -> None:
    from evertalk_pack.nodes.audio_encoder_loader import EverTalkAudioEncoderLoader

    before = EverTalkAudioEncoderLoader.fingerprint_inputs("tiny.safetensors")
    assert EverTalkAudioEncoderLoader.fingerprint_inputs("tiny.safetensors") == before
    save_file(tiny_encoder().state_dict() | {"another": torch.zeros(1)}, folder / "tiny.safetensors")
    assert EverTalkAudioEncoderLoader.fingerprint_inputs("tiny.safetensors") != before


def test_a_name_that_comes_over_a_link_is_looked_at_when_the_node_runs(folder: Path) -> None:
    from evertalk_pack.nodes.audio_encoder_loader import EverTalkAudioEncoderLoader

    assert asyncio.run(EverTalkAudioEncoderLoader.validate_inputs()) is True
    assert EverTalkAudioEncoderLoader.fingerprint_inputs() is None
    save_file({"another": torch.zeros(1)}, folder / "other.safetensors")
    with pytest.raises(ModelFileError, match=r"^encoder: other\.safetensors"):
        EverTalkAudioEncoderLoader.execute("other.safetensors")
