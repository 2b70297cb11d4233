"""LoRA files in every form that trainers write, on the tiny base: what each changes, and what is told."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from safetensors.torch import save_file
from tiny_host import TinyFiles, load_model

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from evertalk_pack.nodes.host.model.lora import LoraReport

pytestmark = pytest.mark.host

DIM, RANK, ALPHA = 256, 4, 2.0
LAYERS = ("blocks.0.self_attn.q", "blocks.1.cross_attn.k_img")
THEIRS = {LAYERS[0]: "blocks.0.attn1.to_q", LAYERS[1]: "blocks.1.attn2.add_k_proj"}

Tensors = dict[str, torch.Tensor]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.05 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


DOWN, UP = (
    {layer: drawn(RANK, DIM, seed=number) for number, layer in enumerate(LAYERS)},
    drawn(DIM, RANK, seed=9),
)

DOTTED = {
    "ComfyUI": "diffusion_model.{ours}.lora_down.weight",
    "trainers with A and B": "diffusion_model.{ours}.lora_A.weight",
    "musubi-tuner": "lora_unet_{ours_flat}.lora_down.weight",
    "Wan Fun": "lora_unet__{ours_flat}.lora_down.weight",
    "dots behind lora_unet": "lora_unet_{ours}.lora_down.weight",
    "diffusers": "transformer.{theirs}.lora_A.weight",
    "diffusers, bare": "{theirs}.lora_A.weight",
    "diffusers, model": "diffusion_model.{theirs}.lora.down.weight",
    "DiffSynth": "{ours}.lora_A.default.weight",
    "bare": "{ours}.lora_A.weight",
    "PEFT": "base_model.model.{ours}.lora_A.weight",
    "checkpoint": "model.diffusion_model.{ours}.lora_down.weight",
    "SimpleTuner": "lycoris_{theirs_flat}.lora_down.weight",
    "OneTrainer": "lora_transformer_{ours_flat}.lora_down.weight",
}
OTHER = {"lora_down": "lora_up", "lora_A": "lora_B", "lora.down": "lora.up"}


def in_form(form: str, layer: str) -> tuple[str, str, str]:
    """The names of both matrices and of alpha."""
    theirs = THEIRS[layer]
    name = form.format(
        ours=layer, theirs=theirs, ours_flat=layer.replace(".", "_"), theirs_flat=theirs.replace(".", "_")
    )
    (down,) = (each for each in OTHER if f".{each}." in name)
    return name, name.replace(down, OTHER[down]), name.split(f".{down}")[0] + ".alpha"


def loaded(
    tiny: TinyFiles, path: Path, tensors: Tensors, strength: float = 1.0
) -> "tuple[ModelPatcher, LoraReport]":
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base
    from evertalk_pack.nodes.host.model.lora import load_lora

    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    return load_lora(load_base(tiny.base, Quantization.FP32)[0], path, strength)


def changes(model: "ModelPatcher", *names: str) -> list[torch.Tensor]:
    """What a LoRA adds to weights, by their names in the transformer."""

    def weights() -> list[torch.Tensor]:
        state: Tensors = model.model.diffusion_model.state_dict()
        return [state[name].detach().float().clone() for name in names]

    plain = weights()
    model.patch_model(device_to=torch.device("cpu"))
    patched = weights()
    model.unpatch_model(torch.device("cpu"))
    return [after - before for after, before in zip(patched, plain, strict=True)]


@pytest.mark.parametrize("form", DOTTED.values(), ids=DOTTED.keys())
def test_every_form_changes_its_weights_by_the_product(tiny: TinyFiles, tmp_path: Path, form: str) -> None:
    tensors: Tensors = {}
    for layer in LAYERS:
        down, up, alpha = in_form(form, layer)
        tensors |= {down: DOWN[layer], up: UP, alpha: torch.tensor(ALPHA)}
    model, report = loaded(tiny, tmp_path / "one.safetensors", tensors, 0.5)
    assert report.note == "LoRA one.safetensors at 0.5: 2 of the model's weights changed"
    assert report.warnings == ()
    made = changes(model, *(f"{layer}.weight" for layer in LAYERS))
    for layer, change in zip(LAYERS, made, strict=True):
        assert torch.allclose(change, 0.5 * ALPHA / RANK * UP @ DOWN[layer], atol=1e-5)


@pytest.mark.parametrize("beginning", ["lycoris_blocks_0_attn1_to_q", "diffusion_model.blocks.0.self_attn.q"])
def test_loha_and_lokr(tiny: TinyFiles, tmp_path: Path, beginning: str) -> None:
    parts = {"w1_a": (DIM, RANK), "w1_b": (RANK, DIM), "w2_a": (DIM, RANK), "w2_b": (RANK, DIM)}
    loha = {name: drawn(*shape, seed=seed) for seed, (name, shape) in enumerate(parts.items())}
    tensors = {f"{beginning}.hada_{name}": value for name, value in loha.items()}
    tensors[f"{beginning}.alpha"] = torch.tensor(float(RANK))
    model, report = loaded(tiny, tmp_path / "loha.safetensors", tensors)
    assert report.warnings == ()
    expected = (loha["w1_a"] @ loha["w1_b"]) * (loha["w2_a"] @ loha["w2_b"])
    assert torch.allclose(changes(model, f"{LAYERS[0]}.weight")[0], expected, atol=1e-6)

    w1, w2 = drawn(8, 8, seed=1), drawn(DIM // 8, DIM // 8, seed=2)
    tensors = {f"{beginning}.lokr_w1": w1, f"{beginning}.lokr_w2": w2}
    model, report = loaded(tiny, tmp_path / "lokr.safetensors", tensors)
    assert report.warnings == ()
    assert torch.allclose(changes(model, f"{LAYERS[0]}.weight")[0], torch.kron(w1, w2), atol=1e-6)


def test_dora_of_peft_is_as_the_hosts(tiny: TinyFiles, tmp_path: Path) -> None:
    size = 1 + drawn(DIM, seed=5).abs()
    tensors = {"{}.lora_A.weight": DOWN[LAYERS[0]], "{}.lora_B.weight": UP}
    peft = {name.format("base_model.model.blocks.0.self_attn.q"): value for name, value in tensors.items()}
    host = {name.format("diffusion_model.blocks.0.self_attn.q"): value for name, value in tensors.items()}
    peft["base_model.model.blocks.0.self_attn.q.lora_magnitude_vector"] = size
    host["diffusion_model.blocks.0.self_attn.q.dora_scale"] = size[:, None]
    made = [
        changes(loaded(tiny, tmp_path / f"{number}.safetensors", each)[0], f"{LAYERS[0]}.weight")[0]
        for number, each in enumerate((peft, host))
    ]
    assert torch.equal(made[0], made[1])
    assert made[0].abs().mean() > 1e-3


@pytest.mark.parametrize("beginning", ["diffusion_model.", "", "transformer."])
@pytest.mark.parametrize("shape", [(1, 6, DIM), (6, DIM)])
def test_modulations_biases_and_norms_are_changed(
    tiny: TinyFiles, tmp_path: Path, beginning: str, shape: tuple[int, ...]
) -> None:
    block, head, bias, norm = (
        drawn(*shape, seed=1),
        drawn(1, 2, DIM, seed=2),
        drawn(DIM, seed=3),
        drawn(DIM, seed=4),
    )
    tensors = {
        f"{beginning}blocks.0.diff_m": block,
        f"{beginning}head.diff_m": head,
        f"{beginning}blocks.0.self_attn.q.diff_b": bias,
        f"{beginning}blocks.0.self_attn.norm_q.diff": norm,
    }
    model, report = loaded(tiny, tmp_path / "diffs.safetensors", tensors, 2.0)
    assert report.note.endswith("4 of the model's weights changed")
    assert report.warnings == ()
    names = (
        "blocks.0.modulation",
        "head.modulation",
        "blocks.0.self_attn.q.bias",
        "blocks.0.self_attn.norm_q.weight",
    )
    for change, expected in zip(
        changes(model, *names), (block.reshape(1, 6, DIM), head, bias, norm), strict=True
    ):
        assert torch.allclose(change, 2 * expected, atol=1e-5)


def test_a_changed_modulation_is_part_of_what_a_model_is_known_by(tiny: TinyFiles, tmp_path: Path) -> None:
    from evertalk_pack.nodes.host.run.identity import model_identity

    def known(value: float) -> "tuple[ModelPatcher, str]":
        tensors = {"blocks.0.diff_m": torch.full((1, 6, DIM), value)}
        model, _ = loaded(tiny, tmp_path / "m.safetensors", tensors)
        return model, model_identity(model)

    (model, first), (_, second), (_, again) = known(0.1), known(0.2), known(0.1)
    assert first == again != second
    model.patch_model(device_to=torch.device("cpu"))
    assert model_identity(model) == first, "while it is in use, too"
    model.unpatch_model(torch.device("cpu"))


def test_a_lora_for_another_size_of_wan_is_refused(tiny: TinyFiles, tmp_path: Path) -> None:
    tensors = {
        f"diffusion_model.{layer}.{name}": value
        for layer in LAYERS
        for name, value in (("lora_down.weight", drawn(RANK, 96)), ("lora_up.weight", drawn(96, RANK)))
    }
    with pytest.raises(
        ModelFileError,
        match=r"lora: all 2 changes of small\.safetensors are of another size .*such as "
        r"`blocks\.0\.self_attn\.q\.weight` \(96x96, expected 256x256\)\. Choose a LoRA made for Wan 2\.1",
    ):
        loaded(tiny, tmp_path / "small.safetensors", tensors)


WRONG = {
    "lora": {"lora_down.weight": drawn(RANK, 96), "lora_up.weight": drawn(96, RANK)},
    "other ranks": {"lora_down.weight": drawn(RANK, DIM), "lora_up.weight": drawn(DIM, RANK + 1)},
    "loha": {f"hada_w{k}_{m}": drawn(*((96, 2) if m == "a" else (2, 96))) for k in (1, 2) for m in "ab"},
    "lokr": {"lokr_w1": drawn(4, 4), "lokr_w2": drawn(24, 24)},
    "diff": {"diff": drawn(96, 96)},
    "diff_b": {"diff_b": drawn(96)},
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_has_no_effect_is_counted_and_left_out(tiny: TinyFiles, tmp_path: Path, kind: str) -> None:
    tensors = {f"blocks.0.self_attn.k.{name}": value for name, value in WRONG[kind].items()}
    tensors |= {f"blocks.{block}.ffn.2.diff_b": drawn(DIM) for block in (0, 1)}
    model, report = loaded(tiny, tmp_path / "some.safetensors", tensors)
    assert report.note.endswith("2 of the model's weights changed")
    (warning,) = report.warnings
    assert warning.startswith("LoRA some.safetensors: 1 of its 3 changes are of another size than this base")
    assert "`blocks.0.self_attn.k." in warning
    assert "expected 256" in warning
    assert not any("self_attn.k" in key for key in model.patches)


def test_tensors_that_belong_to_nothing_are_named_as_the_file_names_them(
    tiny: TinyFiles, tmp_path: Path
) -> None:
    tensors = {"blocks.0.self_attn.q.diff_b": drawn(DIM), "lora_te1_mlp.alpha": torch.tensor(1.0)}
    _, report = loaded(tiny, tmp_path / "some.safetensors", tensors)
    (warning,) = report.warnings
    assert warning.startswith(
        "LoRA some.safetensors: 1 of its 2 tensors belong to no weight of this base model"
    )
    assert warning.endswith("have no effect: `lora_te1_mlp.alpha`.")


def test_a_lora_of_something_else_is_refused(tiny: TinyFiles, tmp_path: Path) -> None:
    tensors = {"double_blocks.0.img_attn.qkv.lora_A.weight": drawn(RANK, 8)}
    with pytest.raises(
        ModelFileError, match=r"has 1 tensors and none belongs .*double_blocks.*Choose a LoRA"
    ):
        loaded(tiny, tmp_path / "flux.safetensors", tensors)


def test_changes_of_another_size_from_other_nodes_are_counted_too(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.lora import patch_warnings, patched_note

    model: Any = load_model(tiny).clone()
    assert patch_warnings(model) == patched_note(model) == ()
    model.add_patches({f"diffusion_model.{LAYERS[0]}.weight": ("diff", (drawn(DIM, DIM),))})
    assert patch_warnings(model) == ()
    model.add_patches({f"diffusion_model.{LAYERS[1]}.weight": ("diff", (drawn(96, 96),))})
    (note,), (warning,) = patched_note(model), patch_warnings(model)
    assert note == "LoRA from other nodes: 1 of the model's weights changed"
    assert warning.startswith("LoRA from other nodes: 1 of the 2 weights that are to change stay as they are")
    assert "`blocks.1.cross_attn.k_img.weight` (96x96, expected 256x256)" in warning
