"""Widgets' values that no click could set: from a script, over a link, from a workflow of another version."""

from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from tiny_host import picture, widgets

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

NAN = float("nan")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": "1080p"}, r"size: '1080p' is unknown here. Choose one of 480p, 720p, custom"),
        ({"scheduler": "none"}, r"scheduler: 'none' is unknown here. Choose one of multitalk, infinitetalk"),
        ({"sampler_name": "none"}, r"sampler_name: 'none' is unknown here. Choose one of euler"),
        ({"output": "gif"}, r"output: 'gif' is unknown here. Choose one of video, latent"),
        ({"resume": "maybe"}, r"resume: 'maybe' is unknown here. Choose one of auto"),
        ({"format": "gif"}, r"format: 'gif' is unknown here. Choose one of mp4 \(h264\)"),
        ({"scheduler": None}, r"scheduler: None is unknown here"),
        ({"steps": "20"}, r"steps: '20' is not a whole number. Set the widget, or connect an INT"),
        ({"width": 832.0}, r"width: 832.0 is not a whole number"),
        ({"seed": True}, r"seed: True is not a whole number"),
        ({"seed": -1}, r"seed: -1, expected 0 to"),
        ({"steps": 0}, r"steps: 0, expected 1 to 200. Choose a number in between"),
        ({"steps": 10**400}, r"steps: far too large, expected 1 to 200"),
        ({"shift": NAN}, r"shift: nan, expected 0.1 to 100"),
        ({"audio_scale": None}, r"audio_scale: None is not a number. Set the widget, or connect a FLOAT"),
        ({"text_scale": 1e9}, r"text_scale: 1e\+09, expected 0 to 30"),
        ({"filename_prefix": 7}, r"filename_prefix: 7 is not text. Set the widget, or connect a STRING"),
    ],
)
def test_sampler_refuses_before_it_asks_for_anything(changed: dict[str, Any], message: str) -> None:
    from evertalk_pack.nodes.sampler import EverTalkSampler

    inputs = {"model": None, "vae": None, "audio_embeds": None, "start_image": picture()}
    with pytest.raises(InputError, match=message):
        EverTalkSampler.check_lazy_status(**widgets(**changed), **inputs)


def test_sampler_takes_whole_numbers_where_fractions_may_be() -> None:
    from evertalk_pack.nodes.sampler import EverTalkSampler

    asked = widgets(shift=11, text_scale=1, audio_scale=2)
    wanted = EverTalkSampler.check_lazy_status(**asked, audio_embeds=None, start_image=picture())
    assert wanted == ["audio_embeds"]


NOTHING: Any = None
"""A socket that is not looked at before the widgets are."""

TALK: dict[str, Any] = {"talk_model": "x", "mode": "auto", "attention_mode": "auto"}
BASE: dict[str, Any] = {
    "base_model": "absent",
    "quantization": "bf16",
    "lora": "none",
    "lora_strength": 1.0,
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mode": "infinite"}, r"mode: 'infinite' is unknown here. Choose one of auto, infinitetalk, multi"),
        ({"attention_mode": "SAGEATTN_3"}, r"attention_mode: 'SAGEATTN_3' is unknown here. .*sageattn_3"),
        ({"reserve_vram_gb": NAN}, r"reserve_vram_gb: nan, expected 0 to 1024"),
        ({"attention_budget": -1.0}, r"attention_budget: -1, expected 0 to 20"),
        ({"quantization": "int4"}, r"quantization: 'int4' is unknown here. Choose one of as stored, bf16"),
        ({"lora_strength": NAN}, r"lora_strength: nan, expected -10 to 10"),
    ],
)
def test_loader_and_apply_refuse_before_weights_load(changed: dict[str, Any], message: str) -> None:
    from evertalk_pack.nodes.apply import EverTalkApply
    from evertalk_pack.nodes.model_loader import EverTalkModelLoader

    with pytest.raises(InputError, match=message):
        EverTalkModelLoader.execute(**(BASE | TALK | changed))
    if not BASE.keys() & changed:
        with pytest.raises(InputError, match=message):
            EverTalkApply.execute(NOTHING, **(TALK | changed))


def test_step_cache_refuses_a_size_that_nobody_fitted(talking: "ModelPatcher") -> None:
    from evertalk_pack.nodes.step_cache import EverTalkStepCache

    with pytest.raises(InputError, match=r"fitted_to: '540p' is unknown here. Choose one of 480p, 720p"):
        EverTalkStepCache.execute(talking, 0.2, "540p", 5, 0)
    with pytest.raises(InputError, match=r"threshold: nan, expected 0 to 2"):
        EverTalkStepCache.execute(talking, NAN, "480p", 5, 0)


def test_look_speakers_and_source_refuse_unknown_choices() -> None:
    from evertalk_pack.nodes.look import EverTalkLook
    from evertalk_pack.nodes.speakers import EverTalkSpeakers
    from evertalk_pack.nodes.video_source import EverTalkVideoSource

    with pytest.raises(InputError, match=r"colour_match: 'hsv' is unknown here. Choose one of off, lab"):
        EverTalkLook.execute("hsv", 1.0, 0, 1.0, 0.0, 0.0)
    sound = {"waveform": torch.zeros(1, 1, 1600), "sample_rate": 16000}
    with pytest.raises(InputError, match=r"arrangement: 'both' is unknown here. Choose one of para, add"):
        EverTalkSpeakers.execute("both", "", "", audio_a=sound)
    with pytest.raises(InputError, match=r"scene_cuts: 'yes' is unknown here. Choose one of off, detect"):
        EverTalkVideoSource.execute(NOTHING, "yes", 27.0, 1.0, 0, 0.0)
    with pytest.raises(InputError, match=r"start_s: nan, expected 0 to"):
        EverTalkVideoSource.execute(NOTHING, "off", 27.0, 1.0, 0, NAN)
