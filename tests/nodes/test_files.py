from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from evertalk_pack.multitalk.model.checkpoint import BaseSize, TalkConfig, talk_shapes
from safetensors.torch import save_file

pytestmark = pytest.mark.host

BASE = BaseSize("base.safetensors", 32, 1)


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Path]:
    """A models folder that ComfyUI looks into, with two empty talk-like files."""
    import folder_paths

    kept = {name: folder_paths.folder_names_and_paths[name] for name in ("diffusion_models", "model_patches")}
    for name, (_, extensions) in kept.items():
        (tmp_path / name).mkdir()
        folder_paths.folder_names_and_paths[name] = ([str(tmp_path / name)], extensions)
    folder_paths.filename_list_cache.clear()
    yield tmp_path
    folder_paths.folder_names_and_paths.update(kept)
    folder_paths.filename_list_cache.clear()


def save(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


def test_lists_talk_files_of_both_folders_with_gguf(models: Path) -> None:
    from evertalk_pack.nodes.host.model.files import list_base_files, list_talk_files

    for name in ("model_patches/a.safetensors", "model_patches/b.gguf", "diffusion_models/c.safetensors"):
        (models / name).touch()
    assert list_talk_files() == ["a.safetensors", "b.gguf", "c.safetensors"]
    assert list_base_files() == ["c.safetensors"]


def test_finds_a_file_in_the_second_folder_and_names_both_when_it_is_missing(models: Path) -> None:
    from evertalk_pack.nodes.host.model.files import TALK_FOLDERS, find_model_file

    (models / "diffusion_models" / "c.safetensors").touch()
    found = find_model_file("talk_model", "c.safetensors", TALK_FOLDERS)
    assert found == models / "diffusion_models" / "c.safetensors"
    with pytest.raises(ModelFileError, match=r"talk_model: there is no file `d\.sft` in .*model_patches"):
        find_model_file("talk_model", "d.sft", TALK_FOLDERS)
    with pytest.raises(ModelFileError, match="there is no file"):
        find_model_file("talk_model", "../diffusion_models/c.safetensors", ("model_patches",))


def test_a_lora_given_as_base_model_is_sent_to_its_folder(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_base_file

    path = save(tmp_path / "x.safetensors", {"blocks.0.self_attn.q.lora_down.weight": (4, 8)})
    expected = (
        r"base_model: `x.safetensors` is a LoRA \(lora_down keys\); put it into models/loras and choose"
    )
    with pytest.raises(ModelFileError, match=expected):
        check_base_file(path)


def test_a_vae_given_as_talk_model_is_sent_to_its_folder(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file

    path = save(tmp_path / "x.safetensors", {"decoder.middle.0.residual.0.gamma": (8, 1, 1, 1)})
    with pytest.raises(
        ModelFileError, match=r"talk_model: `x\.safetensors` is a Wan VAE .*models/vae and choose an Inf"
    ):
        check_talk_file(path, BASE)


def test_an_unknown_file_is_refused_without_a_folder(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_base_file

    path = save(tmp_path / "x.safetensors", {"w": (1,)})
    with pytest.raises(
        ModelFileError, match=r"of no kind that EverTalk knows \(its first key is w\); choose a Wan"
    ):
        check_base_file(path)


def test_a_damaged_talk_file_is_refused_with_the_sockets_name(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file

    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x05\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelFileError, match=r"talk_model: `x.safetensors` is not a usable safetensors file"):
        check_talk_file(path, BASE)


def test_a_pickle_is_refused_with_the_sockets_name(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_base_file

    with pytest.raises(ModelFileError, match=r"base_model: `x.ckpt` is a pickle"):
        check_base_file(tmp_path / "x.ckpt")


def test_talk_weights_that_fit_the_base_pass_and_others_are_refused(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file

    config = TalkConfig(32, 1, 24, 8, 2, 16)
    assert check_talk_file(save(tmp_path / "fits.safetensors", talk_shapes(config)), BASE) == config
    wide = TalkConfig(64, 1, 24, 8, 2, 16)
    path = save(tmp_path / "wide.safetensors", talk_shapes(wide))
    with pytest.raises(
        ModelFileError, match=r"talk_model: `wide\.safetensors` was made for a width of 64 and 1 blocks"
    ):
        check_talk_file(path, BASE)


def test_gguf_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    import importlib.util

    from evertalk_pack.nodes.host.model.files import check_talk_file

    path = tmp_path / "talk.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 20)
    installed = importlib.util.find_spec("gguf") is not None
    with pytest.raises(ModelFileError, match="not a usable GGUF" if installed else "pip install gguf"):
        check_talk_file(path, BASE)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            None,
            "is not a GGUF file, although its name says so: it is a safetensors file, so give it the ending",
        ),
        (b"<!DOCTYPE html>", "is not a GGUF file, .*: it is a web page; download the file itself"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "is not a GGUF file, .*: it is a Git LFS pointer; downlo",
        ),
        (b"PK\x03\x04" + bytes(20), "is a pickle"),
        (b"\0" * 20, r"is not a GGUF file, .*: it begins with b'\\x00\\x00\\x00\\x00'\. Delete it and"),
        (b"", "is not a GGUF file, .*: it begins with b''"),
    ],
)
def test_another_file_named_gguf_is_called_what_it_is(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file

    path = tmp_path / "talk.gguf"
    if content is None:
        save_file({"a": torch.zeros(2)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"talk_model: `talk\.gguf` {complaint}"):
        check_talk_file(path, BASE)


def test_a_gguf_file_of_another_name_is_called_what_it_is(tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_base_file

    path = tmp_path / "base.safetensors"
    path.write_bytes(b"GGUF" + b"\0" * 20)
    with pytest.raises(
        ModelFileError, match=r"base_model: `base\.safetensors` is a GGUF file, although its n"
    ):
        check_base_file(path)


@pytest.mark.parametrize("changed", ["diffusion_models/base.safetensors", "model_patches/talk.safetensors"])
def test_loader_and_apply_run_again_when_a_file_changed(models: Path, changed: str) -> None:
    from evertalk_pack.nodes.apply import EverTalkApply
    from evertalk_pack.nodes.model_loader import EverTalkModelLoader

    for name in ("diffusion_models/base.safetensors", "model_patches/talk.safetensors"):
        (models / name).write_bytes(b"one")
    chosen = {"base_model": "base.safetensors", "talk_model": "talk.safetensors", "lora": "none"}
    loader, apply = EverTalkModelLoader.fingerprint_inputs, EverTalkApply.fingerprint_inputs
    before = loader(**chosen, quantization="bf16"), apply(talk_model="talk.safetensors")
    assert (loader(**chosen, quantization="bf16"), apply(talk_model="talk.safetensors")) == before
    (models / changed).write_bytes(b"another")
    assert loader(**chosen, quantization="bf16") != before[0]
    assert (apply(talk_model="talk.safetensors") != before[1]) == changed.startswith("model_patches")


@pytest.mark.usefixtures("models")
def test_names_that_come_over_links_have_no_stamp_yet() -> None:
    from evertalk_pack.nodes.model_loader import EverTalkModelLoader

    assert EverTalkModelLoader.fingerprint_inputs(quantization="bf16") == []
