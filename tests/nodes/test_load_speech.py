"""Speech from the host's input folder, which is not in memory when it is long."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common import tensor_file
from evertalk_pack.multitalk.common.errors import InputError
from server_run import write_wav
from tiny_speech import speech_like

pytestmark = pytest.mark.host


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """ComfyUI's input and temp folders, with a sound in the first."""
    import folder_paths

    kept = (folder_paths.get_input_directory(), folder_paths.get_temp_directory())
    (tmp_path / "input").mkdir()
    folder_paths.set_input_directory(str(tmp_path / "input"))
    folder_paths.set_temp_directory(str(tmp_path / "temp"))
    write_wav(tmp_path / "input" / "speech.wav", speech_like(20_000).repeat(2, 1))
    (tmp_path / "input" / "notes.txt").write_text("no sound")
    write_wav(tmp_path / "secret.wav", speech_like(10)[None])
    yield tmp_path
    folder_paths.set_input_directory(kept[0])
    folder_paths.set_temp_directory(kept[1])


def node() -> Any:
    from evertalk_pack.nodes.load_speech import EverTalkLoadSpeech

    return EverTalkLoadSpeech


@pytest.mark.parametrize("spill_bytes", [1000, 10**9])
def test_gives_what_load_audio_gives(
    folders: Path, spill_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comfy_extras.nodes_audio import LoadAudio

    monkeypatch.setattr(tensor_file, "SPILL_BYTES", spill_bytes)
    (ours,) = node().execute(audio="speech.wav").result
    (theirs,) = LoadAudio().load("speech.wav")
    assert ours["sample_rate"] == theirs["sample_rate"]
    waveform = theirs["waveform"]
    assert isinstance(waveform, torch.Tensor)
    assert torch.equal(ours["waveform"], waveform)
    assert (folders / "temp").exists() == (spill_bytes == 1000)


def test_lists_sounds_and_videos_alone(folders: Path) -> None:
    assert folders.exists()
    (widget,) = node().define_schema().inputs
    assert widget.options == ["speech.wav"]
    assert widget.as_dict()["audio_upload"] is True


@pytest.mark.parametrize(
    "name",
    ["other.wav", "../secret.wav", "x/../../secret.wav", "/etc/passwd", "a\0b", "", "../secret.wav [temp]"],
)
def test_file_outside_of_the_hosts_folders_is_refused_when_queued(folders: Path, name: str) -> None:
    assert (folders / "secret.wav").exists()
    assert str(node().validate_inputs(audio=name)).startswith("audio: ")
    with pytest.raises(InputError, match="audio: "):
        node().execute(audio=name)


def test_file_that_is_there_is_not_refused(folders: Path) -> None:
    assert folders.exists()
    assert node().validate_inputs(audio="speech.wav") is True


def test_changed_file_is_read_again(folders: Path) -> None:
    before = node().fingerprint_inputs(audio="speech.wav")
    assert node().fingerprint_inputs(audio="speech.wav") == before
    write_wav(folders / "input" / "speech.wav", speech_like(20_001)[None])
    assert node().fingerprint_inputs(audio="speech.wav") != before


def test_name_that_comes_over_a_link_is_not_known_yet() -> None:
    assert node().validate_inputs() is True
    assert node().fingerprint_inputs() == ""
