from pathlib import Path

import pytest
from safetensors.torch import save_file
from tiny_speech import BASE, tiny_encoder

pytestmark = pytest.mark.host


@pytest.fixture
def encoder_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny encoder in the host's folder of audio encoders."""
    import folder_paths

    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "audio_encoders", ([str(tmp_path)], {".safetensors"})
    )
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    save_file(tiny_encoder().state_dict(), tmp_path / "tiny.safetensors")
    return "tiny.safetensors"


def test_offers_and_loads_the_files_of_the_folder(encoder_file: str) -> None:
    from comfy_api.latest import io
    from evertalk_pack.nodes.audio_encoder_loader import EverTalkAudioEncoderLoader
    from evertalk_pack.nodes.host.speech import SpeechEncoderModel

    [choice] = EverTalkAudioEncoderLoader.define_schema().inputs
    assert isinstance(choice, io.Combo.Input)
    assert choice.options is not None
    assert encoder_file in choice.options
    assert EverTalkAudioEncoderLoader.validate_inputs(encoder_file) is True
    output = EverTalkAudioEncoderLoader.execute(encoder_file)
    assert output.result is not None
    [model] = output.result
    assert isinstance(model, SpeechEncoderModel)
    assert model.config == BASE


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("x.pth", "is not a .safetensors file"), ("gone.safetensors", "put the file there")],
)
def test_an_unusable_choice_is_refused_before_the_run(name: str, complaint: str) -> None:
    from evertalk_pack.nodes.audio_encoder_loader import EverTalkAudioEncoderLoader

    verdict = EverTalkAudioEncoderLoader.validate_inputs(name)
    assert isinstance(verdict, str)
    assert verdict.startswith("encoder: ")
    assert complaint in verdict
