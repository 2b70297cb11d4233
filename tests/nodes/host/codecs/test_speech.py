from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from evertalk_pack.multitalk.common.types import Waveform
from safetensors.torch import save_file
from tiny_speech import BASE, speech_like, tiny_encoder

pytestmark = pytest.mark.host


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's folders of audio encoders, emptied: `audio_encoders` and `wav2vec2` below it."""
    import folder_paths
    from evertalk_pack.nodes.host.codecs import speech

    for name in speech.FOLDERS:
        (tmp_path / name).mkdir()
        monkeypatch.setitem(
            folder_paths.folder_names_and_paths,
            name,
            ([str(tmp_path / name)], folder_paths.folder_names_and_paths[name][1]),
        )
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path


def saved(path: Path, metadata: dict[str, str] | None = None) -> Path:
    save_file(tiny_encoder().state_dict(), path, metadata)
    return path


def test_the_wav2vec2_folder_is_registered_with_the_host() -> None:
    import folder_paths
    from evertalk_pack.nodes.host.codecs import speech

    assert speech.FOLDERS == ("audio_encoders", "wav2vec2")
    assert str(Path(folder_paths.models_dir) / "wav2vec2") in folder_paths.get_folder_paths("wav2vec2")


def test_only_safetensors_of_both_folders_are_listed(folder: Path) -> None:
    from evertalk_pack.nodes.host.codecs.speech import speech_encoder_names

    (folder / "audio_encoders" / "a.safetensors").touch()
    (folder / "audio_encoders" / "pickle.bin").touch()
    (folder / "wav2vec2" / "b.safetensors").touch()
    (folder / "wav2vec2" / "a.safetensors").touch()
    (folder / "wav2vec2" / "config.json").touch()
    assert speech_encoder_names() == ["a.safetensors", "b.safetensors"]


def test_a_file_is_found_in_either_folder(folder: Path) -> None:
    from evertalk_pack.nodes.host.codecs.speech import speech_encoder_path

    (folder / "wav2vec2" / "b.safetensors").touch()
    assert speech_encoder_path("b.safetensors") == folder / "wav2vec2" / "b.safetensors"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pt", "x.PTH", "x.ckpt"])
def test_pickle_files_are_refused_by_name(folder: Path, name: str) -> None:
    from evertalk_pack.nodes.host.codecs.speech import speech_encoder_path

    (folder / "wav2vec2" / name).touch()
    with pytest.raises(
        ModelFileError, match=f"encoder: {name} is not a .safetensors file.*never loaded: convert"
    ):
        speech_encoder_path(name)


@pytest.mark.usefixtures("folder")
def test_a_missing_file_is_refused_with_where_to_put_it() -> None:
    from evertalk_pack.nodes.host.codecs.speech import speech_encoder_path

    with pytest.raises(ModelFileError, match=r"neither in models/audio_encoders nor in models/wav2vec2; put"):
        speech_encoder_path("gone.safetensors")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model at all", b"\xff" * 64, b"\x10\x00\x00\x00\x00\x00\x00\x00{}"],
    ids=["empty", "text", "header too large", "cut header"],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    from evertalk_pack.nodes.host.codecs.speech import check_speech_encoder, load_speech_encoder

    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        ModelFileError, match=r"`broken.safetensors` is not a usable safetensors file.*download it again"
    ):
        check_speech_encoder(path)
    with pytest.raises(ModelFileError, match=r"broken.safetensors cannot be read.*download it again"):
        load_speech_encoder(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    path = saved(tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=r"encoder: cut.safetensors cannot be read"):
        load_speech_encoder(path)


def test_a_file_of_another_kind_is_refused_with_what_it_is(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.codecs.speech import check_speech_encoder, load_speech_encoder

    path = tmp_path / "wan.safetensors"
    save_file({"blocks.0.self_attn.q.weight": torch.zeros(2, 2)}, path)
    for open_file in (check_speech_encoder, load_speech_encoder):
        with pytest.raises(ModelFileError, match=r"wan.safetensors is a Wan video model, not a wav2vec2"):
            open_file(path)


def test_encodes_in_the_hosts_memory_management_like_the_plain_encoder(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    model = load_speech_encoder(saved(tmp_path / "tiny.safetensors"))
    assert model.config == BASE
    assert model.file_name == "tiny.safetensors"
    [states_NLC] = model.encode(Waveform(speech_like(16000)[None], 16000), 25, 12000, None)
    assert states_NLC.device.type == "cpu"
    assert torch.allclose(states_NLC, tiny_encoder()(speech_like(16000), 25, 12000), atol=1e-5)


def test_another_sample_rate_is_not_encoded(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    model = load_speech_encoder(saved(tmp_path / "tiny.safetensors"))
    with pytest.raises(AssertionError, match="8000 Hz"):
        next(model.encode(Waveform(torch.zeros(1, 8000), 8000), 25, 8000, None))


def test_the_files_metadata_tells_the_number_of_heads(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    path = saved(tmp_path / "tiny.safetensors", {"num_attention_heads": "4"})
    assert load_speech_encoder(path).config.num_heads == 4
