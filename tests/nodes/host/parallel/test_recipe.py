"""What a MODEL was made of: enough for another process to make the same, or refused by name."""

from pathlib import Path
from typing import Any

import comfy.sd
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.nodes.host.model.lora import load_lora
from evertalk_pack.nodes.host.parallel.recipe import Recipe, key_of, recipe_of, with_changes
from safetensors.torch import save_file
from tiny_host import TinyFiles, load_model

pytestmark = pytest.mark.host

DIM = 256


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    return TinyFiles.made_in(tmp_path_factory.mktemp("recipe"))


@pytest.fixture
def model(files: TinyFiles) -> Any:
    return load_model(files)


def lora_file(folder: Path) -> Path:
    """A LoRA of every sort: low rank, a bias, and a modulation, which is a part of its own."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(*shape, generator=generator)

    path = folder / "lora.safetensors"
    save_file(
        {
            "blocks.0.self_attn.q.lora_A.weight": draw(4, DIM),
            "blocks.0.self_attn.q.lora_B.weight": draw(DIM, 4),
            "blocks.1.self_attn.o.diff_b": draw(DIM),
            "blocks.0.diff_m": draw(1, 6, DIM),
        },
        path,
    )
    return path


def wrapped_by_a_node(executor: Any, *args: Any, **kwargs: Any) -> Any:
    return executor(*args, **kwargs)


def patched_by_a_node(arguments: dict[str, Any]) -> Any:
    return arguments["img"]


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    """The transformer's weights as they are computed with."""
    model.patch_model()
    try:
        tree = model.model.diffusion_model
        return {name: value.detach().clone() for name, value in tree.state_dict().items()}
    finally:
        model.unpatch_model()


def test_a_recipe_makes_the_same_model_with_its_lora(files: TinyFiles, model: Any, tmp_path: Path) -> None:
    changed, _ = load_lora(model, lora_file(tmp_path), 0.5)
    changed, _ = load_lora(changed, lora_file(tmp_path), -1.5)
    recipe = with_changes(recipe_of(changed), changed, tmp_path / "changes.safetensors")
    made = Recipe(**recipe.said()).made()
    expected, found = weights_of(changed), weights_of(made)
    assert expected.keys() == found.keys()
    different = [name for name, value in expected.items() if not torch.equal(value, found[name])]
    assert different == []
    plain = weights_of(load_model(files))
    touched = {name for name, value in expected.items() if not torch.equal(value, plain[name])}
    assert touched == {"blocks.0.self_attn.q.weight", "blocks.1.self_attn.o.bias", "blocks.0.modulation"}


def test_a_model_without_changes_needs_no_file(model: Any, tmp_path: Path) -> None:
    file = tmp_path / "changes.safetensors"
    recipe = with_changes(recipe_of(model), model, file)
    assert recipe.patches == {"weights": [], "parts": {}, "file": None}
    assert not file.exists()


def test_another_lora_is_another_key_and_a_clone_is_none(model: Any, tmp_path: Path) -> None:
    key = key_of(model, recipe_of(model))
    clone = model.clone()
    assert key_of(clone, recipe_of(clone)) == key
    changed, _ = load_lora(model, lora_file(tmp_path), 0.5)
    assert key_of(changed, recipe_of(changed)) != key


def test_a_changed_modulation_is_another_key_wherever_it_lies_in_memory(model: Any) -> None:
    name = "diffusion_model.blocks.0.modulation"
    part = torch.nn.Parameter(model.get_model_object(name).detach().clone(), requires_grad=False)
    changed = model.clone()
    changed.add_object_patch(name, part)
    key = key_of(changed, recipe_of(changed))
    with torch.no_grad():
        part += 1  # the same object, as another one may get its place
    assert key_of(changed, recipe_of(changed)) != key


def test_what_workers_do_not_get_is_no_part_of_the_key(model: Any) -> None:
    key = key_of(model, recipe_of(model))
    changed = model.clone()
    changed.add_object_patch("model_sampling", object())
    assert key_of(changed, recipe_of(changed)) == key


def test_a_model_of_a_loader_that_does_not_tell_its_file_is_refused(files: TinyFiles, model: Any) -> None:
    from comfy.utils import load_torch_file

    state: Any = load_torch_file(str(files.base), safe_load=True)
    other: Any = comfy.sd.load_diffusion_model_state_dict(state)
    for name in ("attachments", "additional_models", "wrappers"):
        setattr(other, name, dict(getattr(model, name)))
    del other.attachments["evertalk_source"]
    with pytest.raises(InputError, match=r"model: .* does not tell from which file it came\. Load it with"):
        recipe_of(other)


def test_what_wraps_the_transformer_is_refused_by_name(model: Any) -> None:
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "theirs", wrapped_by_a_node)
    with pytest.raises(InputError, match=r"model: a node wraps the transformer \(wrapped_by_a_node"):
        recipe_of(model)


def test_what_runs_inside_of_blocks_is_refused_by_name(model: Any) -> None:
    options = model.model_options["transformer_options"]
    options["patches_replace"] = {"dit": {("double_block", 1): patched_by_a_node}}
    with pytest.raises(InputError, match=r"model: a node replaces block 1 \(patched_by_a_node"):
        recipe_of(model)


def test_a_change_of_weights_by_code_is_refused_by_name(model: Any) -> None:
    key = "diffusion_model.blocks.0.self_attn.q.weight"
    model.patches[key] = [(1.0, ("diff", (torch.ones(DIM, DIM),)), 1.0, None, patched_by_a_node)]
    with pytest.raises(InputError, match=rf"model: a node changes {key} by code of its own"):
        recipe_of(model)
