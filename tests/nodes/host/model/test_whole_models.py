"""Models with their audio weights inside, as one file or as a folder of parts, in the loader."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import ModelFileError
from quantised_files import everywhere, old_scaled
from safetensors.torch import save_file
from tiny_folder import FLASHTALK, SKYREELS, shard_name, whole_weights, write_folder
from tiny_host import TinyFiles, play_windows, speech

pytestmark = pytest.mark.host

IN_BASE = "in the base model"
NAME = "SoulX-FlashTalk-14B"


@pytest.fixture
def offered(tiny: TinyFiles, tmp_path: Path) -> Iterator[Path]:
    """The tiny files in the host's folders, with FlashTalk's folder and what a test writes beside them."""
    import folder_paths

    names = ("diffusion_models", "model_patches")
    kept = {name: folder_paths.folder_names_and_paths[name] for name in names}
    for name, file in zip(names, (tiny.base, tiny.talk), strict=True):
        (tmp_path / name).mkdir()
        places = [str(file.parent), str(tmp_path / name)]
        folder_paths.folder_names_and_paths[name] = (places, kept[name][1])
    folder_paths.filename_list_cache.clear()
    write_folder(
        tmp_path / "diffusion_models" / NAME, whole_weights(tiny.base.parent.parent), shards=3, **FLASHTALK
    )
    yield tmp_path / "diffusion_models"
    folder_paths.folder_names_and_paths.update(kept)
    folder_paths.filename_list_cache.clear()


def load(base: str, talk: str = IN_BASE, mode: str = "auto", quantization: str = "as stored") -> Any:
    from evertalk_pack.nodes.host.model.loaders import Quantization
    from evertalk_pack.nodes.host.model.talking_model import BaseChoice, TalkChoice, load_choice

    return load_choice(
        BaseChoice(base, Quantization(quantization), "none", 1.0), TalkChoice(talk, mode, "sdpa")
    )


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    """A loaded MODEL's weights and those of its audio weights, by name."""
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    talk = attachment_of(model).talk_model.state_dict()
    return model.model.diffusion_model.state_dict() | {f"talk {name}": value for name, value in talk.items()}


def notes_of(model: Any) -> str:
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    return " ".join(attachment_of(model).notes)


def test_a_folder_is_listed_as_one_model_among_bases_and_audio_weights(offered: Path) -> None:
    from evertalk_pack.nodes.host.model.files import list_base_files, list_talk_files
    from evertalk_pack.nodes.model_loader import EverTalkModelLoader

    (offered / NAME / "wav2vec2").mkdir()
    save_file({"a": torch.ones(1)}, offered / NAME / "wav2vec2" / "model.safetensors")
    listed = [name for name in list_base_files() if name.startswith(NAME)]
    assert listed == [NAME, str(Path(NAME, "wav2vec2", "model.safetensors"))]
    assert NAME in list_talk_files()
    assert not any(shard_name(1, 3) in name for name in list_talk_files())
    inputs: list[Any] = EverTalkModelLoader.define_schema().inputs
    base, talk = inputs[:2]
    assert NAME in base.options
    assert talk.options[-1] == IN_BASE
    assert talk.options[0] != IN_BASE, "a new node begins with a file, as it did"


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize(
    "quantization", ["as stored", "bf16", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_rowwise"]
)
def test_a_folder_holds_the_same_weights_as_its_two_halves(tiny: TinyFiles, quantization: str) -> None:
    whole = load(NAME, quantization=quantization)
    halves = load(tiny.base.name, tiny.talk.name, quantization=quantization)
    one, other = weights_of(whole), weights_of(halves)
    assert one.keys() == other.keys()
    for name, value in other.items():
        assert one[name].dtype == value.dtype, name
        assert torch.equal(one[name].float(), value.float()), name
    assert f"quantization {quantization}: weights held as" in notes_of(whole)


@pytest.mark.usefixtures("offered")
def test_the_windows_of_a_folder_are_chosen_by_its_name() -> None:
    assert f"mode flashtalk: auto, from the name {NAME}" in notes_of(load(NAME))


def test_the_windows_of_a_renamed_folder_are_chosen_by_its_config(offered: Path) -> None:
    (offered / NAME).rename(offered / "mine")
    assert "mode flashtalk: auto, from the config.json of mine" in notes_of(load("mine"))


def test_the_windows_of_skyreels_folder_are_chosen_by_its_name_or_config(
    tiny: TinyFiles, offered: Path
) -> None:
    weights = whole_weights(tiny.base.parent.parent)
    write_folder(offered / "SkyReels-V3-A2V-19B", weights, shards=2, **SKYREELS)
    write_folder(offered / "mine", weights, shards=2, **SKYREELS)
    assert "mode skyreels: auto, from the name SkyReels-V3-A2V-19B" in notes_of(load("SkyReels-V3-A2V-19B"))
    assert "mode skyreels: auto, from the config.json of mine" in notes_of(load("mine"))
    with pytest.raises(ModelFileError, match=r"`mine` is SkyReels-V3-A2V by its config.json, but mode flash"):
        load("mine", mode="flashtalk")


def test_one_merged_file_is_both_and_its_audio_weights_can_go_on_another_base(
    tiny: TinyFiles, vae: Any, offered: Path
) -> None:
    save_file(whole_weights(tiny.base.parent.parent), offered / "merged.safetensors")
    merged, halves = load("merged.safetensors"), load(tiny.base.name, tiny.talk.name)
    assert "mode infinitetalk: auto, the name merged.safetensors does not say; choose it" in notes_of(merged)
    made = [play_windows(model, vae, speech(tiny, 9)) for model in (merged, halves)]
    assert torch.equal(*made)
    mixed = load("merged.safetensors", tiny.talk.name)
    assert "the audio weights in merged.safetensors are not used; choose" in notes_of(mixed)
    assert torch.equal(
        play_windows(load(tiny.base.name, "merged.safetensors"), vae, speech(tiny, 9)), made[0]
    )


def test_a_merged_file_in_scaled_fp8_loads_both_halves_scaled(
    tiny: TinyFiles, vae: Any, offered: Path
) -> None:
    plain = offered / "plain.safetensors"
    save_file(whole_weights(tiny.base.parent.parent), plain)
    old_scaled(plain, offered / "scaled.safetensors", wanted=everywhere)
    expected = play_windows(load("plain.safetensors"), vae, speech(tiny, 9))
    for quantization in ("as stored", "fp8_rowwise"):
        made = play_windows(load("scaled.safetensors", quantization=quantization), vae, speech(tiny, 9))
        assert 0 < (made - expected).abs().mean() < 0.5


@pytest.mark.usefixtures("offered")
def test_weights_that_dynamic_vram_brings_come_out_of_a_folder_too(lazily: Callable[[], Any]) -> None:
    plainly = weights_of(load(NAME))
    with lazily():
        lazy = weights_of(load(NAME))
    for name, value in plainly.items():
        assert torch.equal(lazy[name].float(), value.float()), name


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"talk": "{talk}"}, "talk_model: `SoulX-FlashTalk-14B` is SoulX-FlashTalk by its name and holds audio"),
    (
        {"mode": "infinitetalk"},
        "mode: `SoulX-FlashTalk-14B` is SoulX-FlashTalk by its name, but mode infinitetalk makes the windows",
    ),
    (
        {"base": "{base}", "talk": "{talk}", "mode": "flashtalk"},
        "mode: `evertalk_tiny_infinitetalk.safetensors` is InfiniteTalk by its name, but mode flashtalk m",
    ),
    (
        {"base": "{base}", "talk": "audio.safetensors", "mode": "flashtalk"},
        "mode: `audio.safetensors` holds audio weights alone, but SoulX-FlashTalk, whose windows mode flasht",
    ),
    (
        {"base": "{base}", "talk": "{talk}", "mode": "skyreels"},
        "mode: `evertalk_tiny_infinitetalk.safetensors` is InfiniteTalk by its name, but mode skyreels makes",
    ),
    (
        {"mode": "skyreels"},
        "mode: `SoulX-FlashTalk-14B` is SoulX-FlashTalk by its name, but mode skyreels makes the windows of",
    ),
    ({"base": "{base}"}, "talk_model: `evertalk_tiny_wan_i2v.safetensors` is a Wan 2.1 image-to-video model"),
    ({"mode": "flash"}, "mode: 'flash' is unknown here. Choose one of auto, infinitetalk"),
]


@pytest.mark.parametrize(("chosen", "complaint"), REFUSED)
def test_what_does_not_belong_together_is_refused_by_name_when_it_is_queued(
    tiny: TinyFiles, offered: Path, chosen: dict[str, str], complaint: str
) -> None:
    from evertalk_pack.nodes.model_loader import EverTalkModelLoader

    (offered.parent / "model_patches" / "audio.safetensors").write_bytes(tiny.talk.read_bytes())
    names = {"base": NAME, "talk": IN_BASE, "mode": "auto", **chosen}
    base, talk, mode = (name.format(base=tiny.base.name, talk=tiny.talk.name) for name in names.values())
    with pytest.raises(ModelFileError, match=complaint):
        load(base, talk, mode)
    told = asyncio.run(EverTalkModelLoader.validate_inputs(base_model=base, talk_model=talk, mode=mode))
    assert str(told).startswith(complaint.split("`", maxsplit=1)[0])


def test_a_folder_that_lacks_a_part_is_refused_before_a_tensor_is_read(
    offered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes.host.model import base_state, loaders

    def read(path: str, **_: Any) -> Any:
        pytest.fail(f"{path} was read")

    monkeypatch.setattr(base_state, "load_torch_file", read)
    monkeypatch.setattr(loaders, "load_torch_file", read)
    (offered / NAME / shard_name(2, 3)).unlink()
    with pytest.raises(
        ModelFileError, match=r"base_model: `SoulX-FlashTalk-14B` is not whole: .*00002-of-00003"
    ):
        load(NAME)


def test_audio_weights_of_another_width_than_the_base_are_refused(tiny: TinyFiles, offered: Path) -> None:
    from evertalk_pack.multitalk.model.checkpoint import TalkConfig, talk_shapes

    weights = whole_weights(tiny.base.parent.parent)
    wide = {
        name: torch.zeros(shape) for name, shape in talk_shapes(TalkConfig(512, 2, 256, 64, 8, 64)).items()
    }
    write_folder(offered / "wide", weights | wide, **FLASHTALK)
    with pytest.raises(
        ModelFileError, match=r"`wide` was made for a width of 512 and 2 blocks, but the base"
    ):
        load("wide")


def test_another_model_of_the_same_house_is_called_by_its_name(tiny: TinyFiles, offered: Path) -> None:
    weights = whole_weights(tiny.base.parent.parent)
    weights["blocks.0.self_attn.memory_proj_k.weight"] = torch.zeros(256, 1, 5)
    write_folder(offered / "LiveAct", weights, **FLASHTALK)
    with pytest.raises(ModelFileError, match="base_model: `LiveAct` is a SoulX-LiveAct model"):
        load("LiveAct")


def test_a_folder_leads_nowhere_else(offered: Path) -> None:
    from evertalk_pack.nodes.host.model.folders import folder_at

    assert folder_at("diffusion_models", NAME) == offered / NAME
    outside = write_folder(
        offered.parent / "outside",
        {"patch_embedding.weight": torch.zeros(256, 36, 1, 2, 2), "blocks.0.ffn.0.weight": torch.zeros(2, 2)},
    )
    for name in ("../outside", str(outside), "", ".", "x" * 5000, "a\0b"):
        assert folder_at("diffusion_models", name) is None


def test_a_changed_part_makes_the_loader_run_again_and_counts_in_what_a_run_needs(offered: Path) -> None:
    from evertalk_pack.nodes.host.model.talking_model import file_stamps
    from evertalk_pack.nodes.host.run.preflight import weight_files

    before = file_stamps(NAME, IN_BASE)
    assert file_stamps(NAME, IN_BASE) == before
    nodes = [{"inputs": {"base_model": NAME, "talk_model": IN_BASE}}]
    total = sum(file.stat().st_size for file in (offered / NAME).iterdir())
    assert weight_files(nodes) == {NAME: total}
    (offered / NAME / "config.json").touch()
    assert file_stamps(NAME, IN_BASE) != before


def test_what_a_folder_will_take_is_told_by_its_headers(tiny: TinyFiles, offered: Path) -> None:
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import Quantization, expected_bytes, talk_bytes

    path = offered / NAME
    total = sum(value.nbytes for value in whole_weights(tiny.base.parent.parent).values())
    config = check_talk_file(path, None)
    assert expected_bytes(path, Quantization.AS_STORED) + talk_bytes(path, config) == total
    base = expected_bytes(tiny.base, Quantization.FP8_E4M3FN)
    assert expected_bytes(path, Quantization.FP8_E4M3FN) == base
