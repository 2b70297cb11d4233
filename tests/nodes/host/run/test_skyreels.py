"""SkyReels' first clip and windows through the host's sampler, and what its schedule makes of the sockets."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.windows.colour import ColourMethod
from evertalk_pack.multitalk.windows.prompt_timeline import Keyframe, PromptTimeline
from tiny_host import TinyFiles, conditioning, load_model, plan_of, speech, unheard, watch, widgets

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from evertalk_pack.nodes.host.run.plan import RunPlan

pytestmark = pytest.mark.host

SKY = {"scheduler": "skyreels", "window_frames": 21, "motion_frames": 5}
TIMESTEPS = [1000, 956.6, 846.6, 10.9]
FRAMES = 25
"""Of speech: the first clip, a window of 9 new frames and one of 16."""

LONG = 37


@pytest.fixture(autouse=True)
def _as_the_host_runs() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def talking_sky(tiny: TinyFiles) -> "ModelPatcher":
    """The tiny model with SkyReels' windows."""
    return load_model(tiny, mode="skyreels")


plan = partial(plan_of, SKY)


def saved(model: "ModelPatcher", vae: Any, made: "RunPlan", output: Path, **options: Any) -> dict[str, Any]:
    """A run whose windows are kept below `output`."""
    from evertalk_pack.multitalk.common.safe_path import Prefix
    from evertalk_pack.multitalk.runs.folder import RunPlace
    from evertalk_pack.multitalk.runs.identity import Resume
    from evertalk_pack.nodes.host.run.job import OutputOptions
    from evertalk_pack.nodes.host.run.windowed_run import saved_run
    from evertalk_pack.nodes.host.sampling.clip_vision import seeing
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    prompt, prefix = conditioning(), Prefix(output, "talk")
    run_models = RunModels(model, vae, lambda _window: prompt, None, seeing({}))
    place = RunPlace(output, prefix, prefix)
    return saved_run(made, run_models, OutputOptions(place, Resume.AUTO, {}, **options))


def test_a_clip_and_then_each_window_run_the_fixed_levels_once_and_end_on_its_stills(
    talking_sky: "ModelPatcher", tiny: TinyFiles, vae: Any, tmp_path: Path
) -> None:
    watched = watch(talking_sky)
    result = saved(talking_sky, vae, plan(speech(tiny, FRAMES)), tmp_path)
    assert result["video"]["frames"] == FRAMES
    assert [time.item() for time in watched.timesteps_B] == pytest.approx(TIMESTEPS * 3, abs=0.1)
    assert all(len(x_BCTHW) == 1 for x_BCTHW in watched.x_BCTHW), "no guidance: one evaluation a step"
    masks = [watched.x_BCTHW[4 * number][0, 16:20, :, 0, 0] for number in range(3)]
    assert masks[0][:, 1:].sum() == 0, "the clip ends as it likes"
    for mask_CT in masks[1:]:
        assert mask_CT[:, -1].tolist() == [1, 1, 1, 1]
        assert mask_CT[:, -2].tolist() == [0, 0, 0, 1]
    kept = list(Path(result["run_folder"]).glob("first_clip_*.safetensors"))
    assert len(kept) == 1


@pytest.fixture(scope="module")
def spoken_long(tiny: TinyFiles) -> AudioEmbeds:
    """Speech of three windows that each share one frame."""
    return speech(tiny, LONG)


@pytest.fixture(scope="module")
def whole(
    tiny: TinyFiles, vae: Any, spoken_long: AudioEmbeds, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """The video of a run that nobody disturbed, its last window with a seed of its own."""
    with torch.inference_mode():
        made = plan(spoken_long, motion_frames=1, window_seeds="3: 99")
        model = load_model(tiny, mode="skyreels")
        return video_in(saved(model, vae, made, tmp_path_factory.mktemp("whole")))


def video_in(result: dict[str, Any]) -> bytes:
    return Path(result["output_path"]).read_bytes()


@pytest.fixture
def sampled(caplog: pytest.LogCaptureFixture) -> "Sampled":
    """What is sampled from now on."""
    caplog.set_level(logging.INFO, "evertalk")
    return Sampled(caplog)


class Sampled:
    """Reads off the log what was sampled. A wrapper of the MODEL that counts would make it another model."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog = caplog

    def taken(self) -> list[str]:
        """Since it was asked last."""
        told = [re.match(r"(The first clip|Window \d+).*, step 4/4", text) for text in self.caplog.messages]
        self.caplog.clear()
        return [match[1] for match in told if match]


def test_a_run_that_paused_goes_on_with_its_clip_and_a_window_made_over_keeps_it(
    talking_sky: "ModelPatcher",
    vae: Any,
    spoken_long: AudioEmbeds,
    whole: bytes,
    tmp_path: Path,
    sampled: Sampled,
) -> None:
    made = plan(spoken_long, motion_frames=1)
    assert len(made.windows) == 3
    assert "note" in saved(talking_sky, vae, made, tmp_path, pause_after=2)
    assert sampled.taken() == ["The first clip", "Window 1", "Window 2"]
    first = saved(talking_sky, vae, made, tmp_path)
    assert sampled.taken() == ["Window 3"]
    again = saved(talking_sky, vae, plan(spoken_long, motion_frames=1, window_seeds="3: 99"), tmp_path)
    assert sampled.taken() == ["Window 3"]
    assert video_in(again) == whole
    assert video_in(first) != whole


def test_a_clip_that_is_gone_is_made_again(
    talking_sky: "ModelPatcher",
    vae: Any,
    spoken_long: AudioEmbeds,
    whole: bytes,
    tmp_path: Path,
    sampled: Sampled,
) -> None:
    made = plan(spoken_long, motion_frames=1, window_seeds="3: 99")
    paused = saved(talking_sky, vae, made, tmp_path, pause_after=2)
    (clip,) = Path(paused["run_folder"]).glob("first_clip_*")
    clip.unlink()
    sampled.taken()
    assert video_in(saved(talking_sky, vae, made, tmp_path)) == whole
    assert sampled.taken() == ["The first clip", "Window 3"]


def test_prompts_of_a_schedule_are_the_windows_and_the_clip_has_its_own() -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.request import SamplerWidgets
    from evertalk_pack.nodes.host.sampling.schedule import prompts_of

    own, told = conditioning(0), conditioning(1)
    schedule = PromptTimeline(prompts=(Keyframe(0.0, told),))
    options = RunOptions(schedule=schedule)
    made = plan(unheard(FRAMES), options)
    assert made.first_clip is not None
    prompt = prompts_of(own, schedule, made.is_clip)
    assert prompt(made.first_clip.window) is own
    assert all(prompt(window) is told for window in made.windows)
    assert SamplerWidgets.of(widgets(**SKY)).needs_positive(options)
    short = plan(unheard(20), options)
    assert short.first_clip is None
    assert prompts_of(own, schedule, short.is_clip)(short.windows[0]) is own
    assert any(note.startswith("schedule: its prompts are not used: speech that is") for note in short.notes)


def test_a_picture_to_end_on_takes_the_place_of_the_last_still() -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions

    end = torch.full((1, 32, 32, 3), 0.25)
    made = plan(unheard(FRAMES), RunOptions(schedule=PromptTimeline(end_BHWC=end)))
    ending = made.ending(made.windows[-1])
    assert ending is not None
    assert torch.equal(ending.picture_HWC, end[0])
    assert made.ending(made.windows[0]) is None, "it ends on a still"


def test_what_the_schedule_decides_is_told() -> None:
    made = plan(unheard(FRAMES), text_scale=5.0, steps=20)
    assert (made.schedule.steps, made.schedule.shift, made.schedule.sampler) == (4, 11.0, "euler")
    assert made.guidance == GuidanceSettings()
    assert made.look.colour is ColourMethod.LAB
    told = " ".join(made.notes)
    assert "steps=20, shift=11 and sampler_name=euler are not used" in told
    assert "SkyReels-V3's weights run without guidance: text_scale 5 and audio_scale 1 are not used" in told
    assert "windows of 21 frames with 5 motion frames: SkyReels-V3's weights were trained on 81" in told


def test_what_has_no_effect_is_refused() -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions

    with pytest.raises(InputError, match=r"negative: something is connected, but SkyReels-V3's weights"):
        plan(unheard(FRAMES), has_negative=True)
    with pytest.raises(InputError, match=r"guidance: something is connected"):
        plan(unheard(FRAMES), RunOptions(guidance=GuidanceSettings()))
    with pytest.raises(InputError, match=r"output: 'latent', but scheduler skyreels drops frames"):
        plan(unheard(4), output="latent")
    with pytest.raises(InputError, match=r"window_frames: 17 frames, expected 18 or more"):
        plan(unheard(FRAMES), window_frames=17)
    two = unheard(FRAMES)
    with pytest.raises(InputError, match=r"audio_embeds: 2 speakers, but SkyReels-V3's weights"):
        plan(replace(two, tracks_NLC=two.tracks_NLC * 2))


def test_the_editor_is_told_what_the_schedule_fixes_and_sets() -> None:
    from evertalk_pack.nodes.sampler_widgets import sampler_widgets

    told = {widget.id: widget.extra_dict for widget in sampler_widgets() if widget.extra_dict}
    fixed = {
        name: extra["fixed_by"]["values"].get("skyreels")
        for name, extra in told.items()
        if "fixed_by" in extra
    }
    assert fixed == {"steps": 4, "shift": 11.0, "sampler_name": "euler", "text_scale": 1, "audio_scale": 1}
    set_to = {
        name: extra["set_by"]["values"]["skyreels"] for name, extra in told.items() if "set_by" in extra
    }
    assert set_to == {"window_frames": 81, "motion_frames": 5}
