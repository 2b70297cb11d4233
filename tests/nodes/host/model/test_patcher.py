import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError, ModelFileError
from safetensors.torch import save_file
from tiny_host import TinyFiles, load_model, plain_sample, play_windows, speech

if TYPE_CHECKING:
    from pathlib import Path

    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

FRAMES = 9


def load_base_model(tiny: TinyFiles) -> "ModelPatcher":
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base

    return load_base(tiny.base, Quantization.AS_STORED)[0]


def patched(base: "ModelPatcher", tiny: TinyFiles, attention_mode: str = "sdpa") -> "ModelPatcher":
    from evertalk_pack.nodes.host.model.files import check_talk_file
    from evertalk_pack.nodes.host.model.loaders import load_talk
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    talk = load_talk(tiny.talk, check_talk_file(tiny.talk, None))
    return apply_talk(base, AudioAttachment(tiny.talk.name, "infinitetalk", attention_mode, talk))


def test_the_patched_model_without_audio_is_the_unpatched_one_bit_for_bit(tiny: TinyFiles) -> None:
    base = load_base_model(tiny)
    expected = plain_sample(base)
    assert expected.std() > 0.1
    assert torch.equal(plain_sample(patched(base, tiny)), expected)


def test_the_model_given_stays_as_it_is_while_its_clone_speaks(tiny: TinyFiles, vae: Any) -> None:
    base = load_base_model(tiny)
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    expected, forward = plain_sample(base), base.model.diffusion_model.forward_orig
    attachments = dict(base.attachments)
    assert "evertalk" not in attachments
    talking = patched(base, tiny)
    play_windows(talking, vae, speech(tiny, FRAMES))
    assert base.object_patches == {}
    assert base.attachments == attachments
    assert base.additional_models == {}
    assert not any(base.wrappers.values())
    assert "evertalk" not in base.model_options["transformer_options"]
    assert torch.equal(plain_sample(base), expected)
    assert base.model.diffusion_model.forward_orig == forward, "the shared module is put back"
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_audio_weights_are_among_the_models_that_the_host_manages(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    talking = patched(load_base_model(tiny), tiny)
    assert talking.get_nested_additional_models() == [attachment_of(talking).talk]


def test_applying_twice_replaces_and_does_not_nest(tiny: TinyFiles, vae: Any) -> None:
    from comfy.patcher_extension import WrappersMP
    from evertalk_pack.nodes.host.model.patcher import KEY, attachment_of

    once = patched(load_base_model(tiny), tiny)
    twice = patched(once, tiny)
    assert len(twice.get_wrappers(WrappersMP.DIFFUSION_MODEL, KEY)) == 1
    assert twice.get_nested_additional_models() == [attachment_of(twice).talk]
    assert attachment_of(once).talk is not attachment_of(twice).talk
    embeds = speech(tiny, FRAMES)
    assert torch.equal(play_windows(twice, vae, embeds), play_windows(once, vae, embeds))


def write_lora(path: "Path", name: str) -> "Path":
    generator = torch.Generator().manual_seed(4)
    save_file(
        {
            f"diffusion_model.{name}.lora_A.weight": torch.randn(4, 256, generator=generator),
            f"diffusion_model.{name}.lora_B.weight": torch.randn(256, 4, generator=generator),
        },
        path,
    )
    return path


def test_a_lora_on_the_base_still_applies_under_the_patch(
    tiny: TinyFiles, vae: Any, tmp_path: "Path"
) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora

    path = write_lora(tmp_path / "small.safetensors", "blocks.0.cross_attn.o")
    base, embeds = load_base_model(tiny), speech(tiny, FRAMES)
    with_lora, report = load_lora(base, path, 1.0)
    assert report.note == "LoRA small.safetensors at 1: 1 of the model's weights changed"
    plain = play_windows(patched(base, tiny), vae, embeds)
    changed = play_windows(patched(with_lora, tiny), vae, embeds)
    without_strength, _ = load_lora(base, path, 0.0)
    assert (changed - plain).abs().max() > 1e-3
    assert torch.equal(play_windows(patched(without_strength, tiny), vae, embeds), plain)


def test_a_changed_modulation_acts_in_a_run_and_ends_with_it(
    tiny: TinyFiles, vae: Any, tmp_path: "Path"
) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora

    path = tmp_path / "modulation.safetensors"
    save_file({"blocks.0.diff_m": 0.5 * torch.ones(1, 6, 256)}, path)
    base, embeds = load_base_model(tiny), speech(tiny, FRAMES)
    plain = play_windows(patched(base, tiny), vae, embeds)
    with_lora, _ = load_lora(base, path, 1.0)
    assert (play_windows(patched(with_lora, tiny), vae, embeds) - plain).abs().max() > 1e-3
    assert torch.equal(play_windows(patched(base, tiny), vae, embeds), plain)


def test_a_lora_that_a_host_node_adds_after_the_patch_applies_too(
    tiny: TinyFiles, vae: Any, tmp_path: "Path"
) -> None:
    import comfy.sd
    from comfy.utils import load_torch_file

    talking, embeds = load_model(tiny), speech(tiny, FRAMES)
    state = load_torch_file(str(write_lora(tmp_path / "late.safetensors", "blocks.1.cross_attn.o")))
    with_lora, _ = comfy.sd.load_lora_for_models(talking, None, state, 1.0, 0.0)
    assert with_lora is not None
    plain = play_windows(talking, vae, embeds)
    assert (play_windows(with_lora, vae, embeds) - plain).abs().max() > 1e-3
    assert torch.equal(play_windows(talking, vae, embeds), plain), (
        "the model before the LoRA node is as it was"
    )


def test_a_lora_that_matches_nothing_is_refused(
    tiny: TinyFiles, tmp_path: "Path", caplog: pytest.LogCaptureFixture
) -> None:
    from evertalk_pack.nodes.host.model.lora import load_lora

    caplog.set_level(logging.CRITICAL)
    path = write_lora(tmp_path / "foreign.safetensors", "double_blocks.7.img_attn.qkv")
    with pytest.raises(ModelFileError, match=r"lora: foreign.safetensors has 2 tensors and none belongs"):
        load_lora(load_base_model(tiny), path, 1.0)


def test_compiled_blocks_have_room_for_more_graphs_than_torch_keeps_by_itself(
    tiny: TinyFiles, vae: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.compiler.config
    from evertalk_pack.nodes.host.model import patcher
    from evertalk_pack.wanvideo.compiling import RECOMPILE_LIMIT
    from evertalk_pack.wanvideo.forward import block_forward

    limits: list[int] = []

    def noted(*given: Any) -> torch.Tensor:
        limits.append(torch.compiler.config.recompile_limit)
        return block_forward(*given)

    monkeypatch.setattr(patcher, "compiled_block", lambda: noted)
    before = torch.compiler.config.recompile_limit
    talking, embeds = load_model(tiny), speech(tiny, FRAMES)
    plain = play_windows(talking, vae, embeds)
    assert limits == []
    attachment = replace(patcher.attachment_of(talking), compile_blocks=True)
    assert torch.equal(play_windows(patcher.apply_talk(talking, attachment), vae, embeds), plain)
    assert set(limits) == {RECOMPILE_LIMIT}
    assert torch.compiler.config.recompile_limit == before


def test_block_patches_of_other_nodes_run(tiny: TinyFiles, vae: Any) -> None:
    talking, embeds = load_model(tiny), speech(tiny, FRAMES)
    plain = play_windows(talking, vae, embeds)
    calls: list[str] = []

    def unchanged(arguments: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        calls.append("unchanged")
        assert "transformer_options" in arguments
        return extra["original_block"](arguments)

    def left_out(arguments: dict[str, Any], _extra: dict[str, Any]) -> dict[str, Any]:
        calls.append("left out")
        return arguments

    watching, skipping = talking.clone(), talking.clone()
    watching.set_model_patch_replace(unchanged, "dit", "double_block", 0)
    skipping.set_model_patch_replace(left_out, "dit", "double_block", 0)
    assert torch.equal(play_windows(watching, vae, embeds), plain)
    assert (play_windows(skipping, vae, embeds) - plain).abs().max() > 1e-3
    assert calls == ["unchanged"] * 4 + ["left out"] * 4, "once in each step"


def test_a_model_that_is_no_wan_image_to_video_is_refused(tiny: TinyFiles) -> None:
    from comfy.model_base import WAN21
    from comfy.model_patcher import ModelPatcher
    from comfy.supported_models import WAN21_T2V
    from evertalk_pack.nodes.host.model.patcher import check_base

    dims = {"dim": 256, "ffn_dim": 64, "num_heads": 2, "num_layers": 1, "in_dim": 16, "out_dim": 16}
    settings = WAN21_T2V({"image_model": "wan2.1", "model_type": "t2v", **dims})
    settings.set_inference_dtype(torch.float32, None)
    cpu = torch.device("cpu")
    text_to_video = ModelPatcher(WAN21(settings), cpu, cpu)
    with pytest.raises(InputError, match=r"model: this is Wan with 16 input channels and no CLIP picture"):
        check_base(text_to_video)
    check_base(load_base_model(tiny))


def test_a_model_without_audio_weights_is_refused(tiny: TinyFiles) -> None:
    from evertalk_pack.nodes.host.model.patcher import attachment_of

    with pytest.raises(
        InputError, match=r"model: this MODEL has no audio weights. Load it with the EverTalk"
    ):
        attachment_of(load_base_model(tiny))
