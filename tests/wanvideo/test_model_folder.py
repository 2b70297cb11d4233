"""What makes a model folder whole, and what is refused by name before anything of it loads."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.wanvideo import checkpoint, model_folder
from evertalk_pack.wanvideo.checkpoint import read_header
from evertalk_pack.wanvideo.errors import CheckpointError
from evertalk_pack.wanvideo.model_folder import is_model_folder, is_shard, weight_files
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_folder import FLASHTALK, INDEX, shard_name, write_folder

DIM = 256
WEIGHTS = {
    "patch_embedding.weight": torch.zeros(DIM, 36, 1, 2, 2),
    "blocks.0.ffn.0.weight": torch.zeros(8, 4),
    "blocks.1.ffn.0.weight": torch.zeros(8, 4),
    "audio_proj.proj1.weight": torch.ones(2, 2),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "FlashTalk", WEIGHTS, **FLASHTALK)


def test_the_headers_of_all_files_are_one_with_the_config(folder: Path) -> None:
    header = read_header(folder)
    assert header.file_name == "FlashTalk"
    assert {name: info.shape for name, info in header.tensors.items()} == {
        name: tuple(value.shape) for name, value in WEIGHTS.items()
    }
    assert header.config["weight_init"] is True
    assert [file.name for file in weight_files(folder)] == [shard_name(1, 2), shard_name(2, 2)]
    assert is_model_folder(folder)


def test_names_of_parts_are_told_from_those_of_whole_files() -> None:
    assert is_shard(shard_name(1, 7))
    assert not is_shard("wan-00001-of-00001.safetensors")
    assert not is_shard("wan2.1_i2v_480p_14B.safetensors")


def edit(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Changes one of a folder's two JSON files."""

    def changed(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return changed


def moved(weight: str, shard: str) -> Callable[[Path], object]:
    return edit(INDEX, lambda index: index["weight_map"].update({weight: shard}))


def config(**changed: object) -> Callable[[Path], object]:
    return edit("config.json", lambda value: value.update(changed))


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda folder: (folder / shard_name(2, 2)).unlink(),
        r"`FlashTalk` is not whole: it lacks `diffusion_.*-00002-of-00002.safetensors`",
    ),
    (moved("blocks.9.x", "other.safetensors"), "it lacks `other.safetensors`"),
    (
        moved("blocks.9.x", shard_name(1, 2)),
        r"its index says that `blocks.9.x` is in `diffusion_.*not hold it",
    ),
    (
        moved("blocks.9.x", "../other.safetensors"),
        "it names `../other.safetensors`, which is not in the folder",
    ),
    (lambda folder: (folder / INDEX).write_text("[]"), f"its {INDEX} is not usable: it is not a JSON object"),
    (lambda folder: (folder / INDEX).write_text("{}"), "it has no weight_map"),
    (
        lambda folder: (folder / "config.json").write_text("{"),
        "config.json is not usable: it is not JSON",
    ),
    (lambda folder: (folder / "config.json").unlink(), "its config.json cannot be read: No such file"),
    (
        config(_class_name="UNet2DConditionModel"),
        "its config.json is of a `UNet2DConditionModel`, expected a W",
    ),
    (config(dim="wide"), "its config.json gives no dim, so it is not of a Wan transformer"),
    (config(dim=5120), "its config.json says dim 5120, but its weights have 256. The files are of different"),
    (config(num_layers=40), "its config.json says num_layers 40, but its weights have 2"),
    (config(num_heads=16), "its config.json says num_heads 16, but its weights have 2"),
    (
        lambda folder: save_file({"audio_proj.proj1.weight": torch.ones(1)}, folder / shard_name(2, 2)),
        "holds `audio_proj.proj1.weight` in more than one of its files",
    ),
    (
        lambda folder: (folder / shard_name(1, 2)).write_bytes(b"\x08"),
        r"`diffusion_pytorch_model-00001-of-00002.safetensors` is not a usable safetensors file",
    ),
]


@pytest.mark.parametrize(("broken", "complaint"), BROKEN)
def test_a_folder_that_is_not_what_it_says_is_refused(
    folder: Path, broken: Callable[[Path], object], complaint: str
) -> None:
    broken(folder)
    with pytest.raises(CheckpointError, match=complaint) as refused:
        read_header(folder)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_many_missing_files_are_counted(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.rename(folder / file.name.replace("of-00002", "of-00009"))
    (folder / INDEX).unlink()
    with pytest.raises(CheckpointError, match=r"00007-of-00009.safetensors` and 2 more"):
        read_header(folder)


def test_limits_are_kept_before_anything_is_parsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folder, "MAX_CONFIG_BYTES", 40)
    with pytest.raises(CheckpointError, match=r"config.json is not usable: it has more than 40 bytes"):
        read_header(folder)
    monkeypatch.setattr(model_folder, "MAX_CONFIG_BYTES", 4000)
    monkeypatch.setattr(model_folder, "MAX_SHARDS", 1)
    with pytest.raises(CheckpointError, match="is of 2 files, more than 1"):
        read_header(folder)
    monkeypatch.setattr(model_folder, "MAX_ENTRIES", 3)
    with pytest.raises(CheckpointError, match="has more than 3 entries"):
        read_header(folder)


def test_without_an_index_every_file_counts(folder: Path) -> None:
    (folder / INDEX).unlink()
    save_file({"more": torch.ones(1)}, folder / "more.safetensors")
    assert "more" in read_header(folder).tensors


def test_with_an_index_only_its_files_count(folder: Path) -> None:
    save_file({"more": torch.ones(1)}, folder / "more.safetensors")
    assert "more" not in read_header(folder).tensors


def test_skyreels_form_takes_every_file_whatever_its_index_says(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "SkyReels-V3-A2V-19B", WEIGHTS, audio_window=5)
    moved("blocks.9.x", "gone.safetensors")(folder)
    save_file({"more": torch.ones(1)}, folder / "more.safetensors")
    assert {"more", *WEIGHTS} == read_header(folder).tensors.keys()
    (folder / shard_name(1, 2)).unlink()
    with pytest.raises(CheckpointError, match=r"is not whole: it lacks .*00001-of-00002.safetensors`"):
        read_header(folder)


def test_remarks_on_quantised_layers_come_from_every_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", WEIGHTS)
    for number, layer in ((1, "blocks.0.ffn.0"), (2, "blocks.1.ffn.0")):
        path = folder / shard_name(number, 2)
        with safe_open(path, "pt") as file:
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        remark = json.dumps({"layers": {layer: {"format": "float8_e4m3fn"}}})
        save_file(held, path, metadata={"_quantization_metadata": remark})
    remarks = json.loads(read_header(folder).metadata["_quantization_metadata"])
    assert set(remarks["layers"]) == {"blocks.0.ffn.0", "blocks.1.ffn.0"}


def test_encoders_in_folders_are_no_models_to_offer(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    assert not is_model_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "Wav2Vec2Model"}')
    assert not is_model_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "WanModel"}')
    assert is_model_folder(tmp_path)


def test_a_folder_is_read_once_until_one_of_its_files_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    read_folder = checkpoint.read_folder_header

    def noting(path: Path) -> Any:
        read.append(path)
        return read_folder(path)

    monkeypatch.setattr(checkpoint, "read_folder_header", noting)
    assert read_header(folder, settled_s=-1.0) is read_header(folder, settled_s=-1.0)
    assert len(read) == 1
    os.utime(folder / "config.json", (1, 1))
    read_header(folder, settled_s=-1.0)
    save_file({"more": torch.ones(1)}, folder / "more.safetensors")
    read_header(folder, settled_s=-1.0)
    assert len(read) == 3
