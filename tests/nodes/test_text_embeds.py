from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError, ModelFileError
from safetensors.torch import save_file

pytestmark = pytest.mark.host


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """ComfyUI's models and output folders, empty."""
    import folder_paths

    kept = (folder_paths.models_dir, folder_paths.get_output_directory())
    folder_paths.models_dir = str(tmp_path / "models")
    folder_paths.set_output_directory(str(tmp_path / "output"))
    folder_paths.folder_names_and_paths.pop("evertalk_text_embeds", None)
    (tmp_path / "models" / "evertalk_text_embeds").mkdir(parents=True)
    yield tmp_path
    folder_paths.models_dir = kept[0]
    folder_paths.set_output_directory(kept[1])
    folder_paths.folder_names_and_paths.pop("evertalk_text_embeds", None)


def node() -> Any:
    from evertalk_pack.nodes.text_embeds import EverTalkTextEmbeds

    return EverTalkTextEmbeds


def encode() -> str:
    from evertalk_pack.nodes.text_embeds import ENCODE

    return ENCODE


def prompt(*shape: int) -> list[tuple[torch.Tensor, dict[str, Any]]]:
    values = torch.randn(shape or (1, 7, 16), generator=torch.Generator().manual_seed(1))
    return [(values.bfloat16(), {"pooled_output": None})]


def stored(folders: Path, name: str, tensors: dict[str, torch.Tensor], **metadata: str) -> str:
    path = folders / "models" / "evertalk_text_embeds" / name
    save_file(tensors, path, metadata or None)
    return name


def test_a_saved_prompt_is_passed_on_listed_and_loaded_bit_for_bit(folders: Path) -> None:
    given = prompt()
    assert node().execute(encode(), "hello_1.0", given).args[0] is given
    saved = [path.name for path in (folders / "output" / "evertalk_text_embeds").iterdir()]
    assert saved == ["hello_1.0.safetensors"]
    options = node().define_schema().inputs[0].options
    assert options == [encode(), "hello_1.0.safetensors [output]"]
    [(loaded, extra)] = node().execute(options[1], "").args[0]
    assert loaded.dtype == torch.bfloat16
    assert torch.equal(loaded, given[0][0])
    assert extra == {"pooled_output": None}


def test_a_prompt_without_a_batch_axis_loads(folders: Path) -> None:
    name = stored(folders, "p.safetensors", {"cross_attn": torch.ones(3, 8)})
    assert node().execute(name, "").args[0][0][0].shape == (1, 3, 8)


@pytest.mark.usefixtures("folders")
def test_saving_again_replaces_the_file() -> None:
    node().execute(encode(), "p", prompt(1, 2, 4))
    node().execute(encode(), "p.safetensors", prompt(1, 5, 4))
    assert node().execute("p.safetensors [output]", "").args[0][0][0].shape == (1, 5, 4)


@pytest.mark.parametrize("name", ["../p", "a/b", "a\\b", ".hidden", "", "x" * 101, "Ü", "/etc/p", "p\0q"])
def test_names_that_leave_the_folder_are_refused(folders: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be a file name here|nothing to save"):
        node().execute(encode(), name, prompt())
    assert not (folders / "output").exists()


@pytest.mark.usefixtures("folders")
def test_neither_file_nor_name_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing to load and nothing to save"):
        node().execute(encode(), " ", prompt())


@pytest.mark.usefixtures("folders")
def test_a_name_without_conditioning_is_an_error() -> None:
    with pytest.raises(InputError, match="conditioning: not connected"):
        node().execute(encode(), "p")


@pytest.mark.usefixtures("folders")
def test_a_file_and_a_name_are_an_error() -> None:
    with pytest.raises(InputError, match="save_as: `p` has nothing to save"):
        node().execute("old.safetensors", "p", prompt())


@pytest.mark.usefixtures("folders")
def test_several_prompts_in_one_conditioning_are_refused() -> None:
    with pytest.raises(InputError, match="conditioning: it has 2 entries"):
        node().execute(encode(), "p", prompt() + prompt())


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize("shape", [(7, 16), (2, 7, 16)])
def test_a_conditioning_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected one prompt of finite numbers"):
        node().execute(encode(), "p", prompt(*shape))


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"w": torch.ones(1)}, "holds no `cross_attn`"),
        ({"cross_attn": torch.ones(2, 3, 8)}, r"is F32 \[2, 3, 8\]; expected one prompt"),
        ({"cross_attn": torch.ones(8)}, r"is F32 \[8\]; expected"),
        ({"cross_attn": torch.ones(0, 8)}, "expected one prompt"),
        ({"cross_attn": torch.ones(3, 8, dtype=torch.int32)}, "is I32"),
        ({"cross_attn": torch.full((3, 8), torch.nan)}, "not finite"),
    ],
)
def test_a_file_that_is_no_prompt_is_refused(
    folders: Path, tensors: dict[str, torch.Tensor], complaint: str
) -> None:
    name = stored(folders, "bad.safetensors", tensors)
    with pytest.raises(ModelFileError, match=complaint):
        node().execute(name, "")


@pytest.mark.parametrize("about", ['{"version": 2}', "no json", "{}", "[]"])
def test_a_newer_format_is_refused(folders: Path, about: str) -> None:
    name = stored(folders, "new.safetensors", {"cross_attn": torch.ones(3, 8)}, evertalk_text_embeds=about)
    with pytest.raises(ModelFileError, match="Update EverTalk"):
        node().execute(name, "")


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize("name", ["gone.safetensors", "../../x.safetensors", "gone.safetensors [output]"])
def test_a_missing_file_names_the_folder(name: str) -> None:
    with pytest.raises(ModelFileError, match=r"file: there is no .*evertalk_text_embeds"):
        node().execute(name, "")


def test_the_text_encoder_is_asked_for_only_when_it_is_saved() -> None:
    lazy = node().check_lazy_status
    assert lazy(encode(), "p", None) == ["conditioning"]
    assert lazy(encode(), "p", prompt()) == []
    assert lazy(encode(), "p") == []
    assert lazy(encode(), "", None) == []
    assert lazy("old.safetensors", "", None) == []


def test_a_changed_file_changes_the_fingerprint(folders: Path) -> None:
    name = stored(folders, "p.safetensors", {"cross_attn": torch.ones(3, 8)})
    before = node().fingerprint_inputs(name, "")
    stored(folders, "p.safetensors", {"cross_attn": torch.ones(4, 8)})
    assert node().fingerprint_inputs(name, "") != before
    assert node().fingerprint_inputs(encode(), "p") == "p"
    assert node().fingerprint_inputs() == "", "a name that comes over a link"
