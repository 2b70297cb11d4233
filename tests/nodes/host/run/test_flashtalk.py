"""FlashTalk's windows through the host's sampler, and what its schedules make of the sampler's sockets."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import LiveForm
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.windows.colour import ColourMethod
from evertalk_pack.multitalk.windows.finish import LookSettings
from evertalk_pack.multitalk.windows.loop import generate
from tiny_host import (
    TinyFiles,
    conditioning,
    load_model,
    plan_of,
    play_windows,
    speech,
    unheard,
    watch,
)

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

FLASH = {"scheduler": "flashtalk", "window_frames": 9, "motion_frames": 5}
TIMESTEPS = [1000, 937.5, 833.333, 625]


@pytest.fixture(autouse=True)
def _as_the_host_runs() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def flashing(tiny: TinyFiles) -> "ModelPatcher":
    """The tiny model with FlashTalk's windows."""
    return load_model(tiny, mode="flashtalk")


plan = partial(plan_of, FLASH)


def run_windows(
    model: "ModelPatcher", vae: Any, embeds: AudioEmbeds, first: int = 0, motion: Any = None
) -> list[Any]:
    """The windows from `first` on."""
    from evertalk_pack.nodes.host.model.patcher import attachment_of
    from evertalk_pack.nodes.host.run.windowed_run import comfy_backend_for, spec_of
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    made, prompt = plan(embeds), conditioning()
    run_models = RunModels(model, vae, lambda _window: prompt, None, lambda _frame: None)
    attachment = attachment_of(model)
    return list(
        generate(spec_of(made, attachment), comfy_backend_for(made, run_models, attachment), first, motion)
    )


def test_each_window_runs_the_fixed_levels_once_with_its_first_frames_clean(
    flashing: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    watched = watch(flashing)
    windows = run_windows(flashing, vae, speech(tiny, 8))
    assert [time.item() for time in watched.timesteps_B] == pytest.approx(TIMESTEPS * 2, abs=1e-2)
    assert all(len(x_BCTHW) == 1 for x_BCTHW in watched.x_BCTHW), "no guidance: one evaluation a step"
    for number, known in ((0, 1), (1, 2)):
        calls = watched.x_BCTHW[4 * number : 4 * number + 4]
        assert all(torch.equal(x[:, :16, :known], calls[0][:, :16, :known]) for x in calls)
        assert not torch.allclose(calls[1][:, :16, known:], calls[0][:, :16, known:])
        made = flashing.model.process_latent_in(windows[number].latents_BCTHW)
        assert torch.allclose(made[:, :, :known], calls[0][:, :16, :known], atol=1e-5)


@pytest.mark.parametrize("frames", [1, 4, 8, 9])
def test_the_video_is_as_long_as_the_speech_though_each_window_drops_frames(
    flashing: "ModelPatcher", tiny: TinyFiles, vae: Any, frames: int
) -> None:
    windows = run_windows(flashing, vae, speech(tiny, frames))
    assert sum(len(one.frames_FHWC) for one in windows) == frames
    assert len(windows) == -(-frames // 4)
    assert torch.equal(windows[0].frames_FHWC, windows[0].made_FHWC[5 : 5 + len(windows[0].frames_FHWC)])


def test_a_window_is_the_same_when_it_is_made_alone(
    flashing: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    embeds = speech(tiny, 12)
    motion = [None]
    windows: list[Any] = []
    for one in run_windows(flashing, vae, embeds):
        windows.append(one)
        motion.append(one.motion_FHWC)
    (again,) = run_windows(flashing, vae, embeds, 2, motion[2])
    assert torch.equal(again.latents_BCTHW, windows[2].latents_BCTHW)


def test_the_seed_decides_over_the_noise_of_every_step(
    flashing: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    watched = watch(flashing)
    embeds = speech(tiny, 4)
    for seed in (1, 1, 2):
        play_windows_of_flashtalk(flashing, vae, embeds, seed)
    first, same, other = (watched.x_BCTHW[4 * run + 3] for run in range(3))
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)


def play_windows_of_flashtalk(model: "ModelPatcher", vae: Any, embeds: AudioEmbeds, seed: int) -> None:
    from evertalk_pack.nodes.host.run.windowed_run import check_models
    from evertalk_pack.nodes.host.run.windowed_run import run_windows as play_run
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    prompt = conditioning()
    made, run_models = (
        plan(embeds, seed=seed),
        RunModels(model, vae, lambda _window: prompt, None, lambda _frame: None),
    )
    play_run(made, run_models, check_models(made, run_models))


def test_weights_of_another_mode_are_refused(
    talking: "ModelPatcher", flashing: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    embeds = speech(tiny, 4)
    with pytest.raises(
        InputError, match=r"scheduler: flashtalk belongs to FlashTalk's weights, but .* mode inf"
    ):
        play_windows_of_flashtalk(talking, vae, embeds, 1)
    with pytest.raises(InputError, match=r"scheduler: multitalk, but .* is loaded with mode flashtalk"):
        play_windows(flashing, vae, embeds)


def test_what_the_schedule_decides_is_told() -> None:
    made = plan(unheard(9), text_scale=5.0, steps=20)
    assert (made.schedule.steps, made.schedule.shift, made.schedule.sampler) == (4, 5.0, "lcm")
    assert made.guidance == GuidanceSettings()
    assert made.look.colour is ColourMethod.LAB
    assert made.look.matches_colour
    told = " ".join(made.notes)
    assert "steps=20, shift=11 and sampler_name=euler are not used" in told
    assert "text_scale 5 and audio_scale 1 are not used" in told
    assert "windows of 9 frames with 5 motion frames" in told
    assert [(window.start, window.skipped, window.new) for window in made.windows] == [
        (-5, 5, 4),
        (-1, 5, 4),
        (3, 5, 1),
    ]


def test_a_look_of_the_person_s_own_is_kept() -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions

    own = LookSettings(colour=ColourMethod.MKL, colour_strength=0.5)
    assert plan(unheard(9), RunOptions(look=own)).look == own
    off = plan(unheard(9), RunOptions(look=LookSettings()))
    assert not off.look.matches_colour
    assert any(note.startswith("look: it leaves colours as they are") for note in off.notes)


def test_what_has_no_effect_is_refused() -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions

    with pytest.raises(InputError, match=r"negative: something is connected"):
        plan(unheard(9), has_negative=True)
    with pytest.raises(InputError, match=r"guidance: something is connected"):
        plan(unheard(9), RunOptions(guidance=GuidanceSettings()))
    with pytest.raises(
        InputError, match=r"output: 'latent', but scheduler flashtalk drops frames of windows"
    ):
        plan(unheard(4), output="latent")
    two = unheard(9)
    with pytest.raises(InputError, match=r"audio_embeds: 2 speakers"):
        plan(replace(two, tracks_NLC=two.tracks_NLC * 2))


def test_speech_heard_as_a_stream_needs_windows_of_its_form() -> None:
    form = LiveForm(9, 5)
    live = unheard(9, tracks_NLC=(torch.zeros(3 * form.kept_frames, 2, 128),), live=form)
    assert len(plan(live).windows) == 3
    with pytest.raises(InputError, match=r"heard as a stream, .* has windows of 13 with 5"):
        plan(live, window_frames=13)
    with pytest.raises(
        InputError, match=r"heard as a stream, .* has a scheduler that is none of FlashTalk's"
    ):
        plan(live, scheduler="multitalk")
