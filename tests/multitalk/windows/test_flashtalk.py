"""What FlashTalk's weights insist on: refused, replaced aloud, or left as the person decided."""

from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.windows import flashtalk
from evertalk_pack.multitalk.windows.colour import ColourMethod
from evertalk_pack.multitalk.windows.finish import LookSettings
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from evertalk_pack.multitalk.windows.settings import (
    FIXED_STEPS,
    NoiseSchedule,
    WindowSettings,
    checked_schedule,
)
from evertalk_pack.multitalk.windows.whole_model import check_scheduler


@pytest.mark.parametrize(
    ("scheduler", "steps", "listed"),
    [("flashtalk", 4, "1000, 750, 500, 250"), ("flashtalk_2", 2, "1000, 500")],
)
def test_schedules_take_their_own_steps_shift_and_sampler_and_say_so(
    scheduler: str, steps: int, listed: str
) -> None:
    used, notes = checked_schedule(NoiseSchedule(scheduler, 20, 11.0, "euler"))
    assert (used.steps, used.shift, used.sampler, used.renews_noise) == (steps, 5.0, "lcm", True)
    assert notes == (
        f"scheduler {scheduler} always runs its {steps} timesteps ({listed}) at shift 5 with sampler lcm; "
        "steps=20, shift=11 and sampler_name=euler are not used",
    )
    assert notes[0].startswith(FIXED_STEPS), "it is told as no warning"


def test_with_denoise_the_last_timesteps_of_the_list_run() -> None:
    _, notes = checked_schedule(NoiseSchedule("flashtalk_2", denoise=0.5))
    assert notes[1] == "denoise 0.5: the last 1 of flashtalk_2's timesteps run (500)"


def test_every_window_drops_its_first_frames_and_the_first_leads_in() -> None:
    windows = plan_windows(60, 33, 5, leads=True)
    assert windows == (Window(0, -5, 33, 0, 28, 5), Window(1, 23, 33, 5, 28), Window(2, 51, 33, 5, 4))
    given = [place for one in windows for place in range(one.start + one.skipped, one.end)]
    assert given == list(range(60))


def test_a_scene_leads_in_too() -> None:
    windows = plan_windows(60, 33, 5, (40,), leads=True)
    assert windows[2] == Window(2, 35, 33, 0, 20, 5)
    given = [place for one in windows for place in range(one.start + one.skipped, one.end)]
    assert given == list(range(60))


def embeds(speakers: int = 1, places: tuple[torch.Tensor, ...] = ()) -> AudioEmbeds:
    tracks = (torch.zeros(5 + TAIL_FRAMES, 1, 2),) * speakers
    return AudioEmbeds(tracks, 5, Waveform(torch.zeros(1, 3200), 16000), places=places)


def test_one_voice_is_heard_and_more_or_a_mask_are_refused() -> None:
    flashtalk.MODEL.check_speakers(embeds())
    with pytest.raises(InputError, match=r"audio_embeds: 2 speakers, but FlashTalk's weights know one voice"):
        flashtalk.MODEL.check_speakers(embeds(2))
    with pytest.raises(InputError, match=r"audio_embeds: a speaker's place in the picture, but"):
        flashtalk.MODEL.check_speakers(embeds(1, (torch.ones(4, 4),)))


@pytest.mark.parametrize("socket", ["negative", "guidance"])
def test_sockets_without_effect_are_refused(socket: str) -> None:
    connected = {"negative": False, "guidance": False}
    flashtalk.MODEL.check_sockets(**connected)
    with pytest.raises(InputError, match=rf"{socket}: something is connected, but .* Disconnect it"):
        flashtalk.MODEL.check_sockets(**{**connected, socket: True})


def test_scales_are_replaced_aloud() -> None:
    assert flashtalk.MODEL.unguided(GuidanceSettings()) == (GuidanceSettings(), ())
    used, notes = flashtalk.MODEL.unguided(GuidanceSettings(5.0, 3.0))
    assert used == GuidanceSettings()
    assert "text_scale 5 and audio_scale 3 are not used" in notes[0]


def test_colours_are_matched_unless_the_person_decides_otherwise() -> None:
    matched, notes = flashtalk.MODEL.look_of(None)
    assert (matched.colour, matched.colour_strength, notes) == (ColourMethod.LAB, 1.0, ())
    own = LookSettings(colour=ColourMethod.MKL, colour_strength=0.5)
    assert flashtalk.MODEL.look_of(own) == (own, ())
    off, notes = flashtalk.MODEL.look_of(LookSettings())
    assert off == LookSettings()
    assert notes[0].startswith("look: it leaves colours as they are; FlashTalk's authors match them")


def test_windows_of_another_form_are_told() -> None:
    assert flashtalk.MODEL.window_notes(WindowSettings(33, 5)) == ()
    assert (
        "Set window_frames to 33 and motion_frames to 5" in flashtalk.MODEL.window_notes(WindowSettings())[0]
    )


@pytest.mark.parametrize(
    ("mode", "scheduler", "message"),
    [
        ("flashtalk", "multitalk", r"scheduler: multitalk, but model\.x is loaded with mode flashtalk"),
        (
            "infinitetalk",
            "flashtalk",
            r"scheduler: flashtalk belongs to FlashTalk's weights, but model\.x is",
        ),
        ("skyreels", "flashtalk", r"with mode skyreels, .* Choose skyreels \(4 steps\)\."),
        (
            "flashtalk",
            "skyreels",
            r"mode flashtalk, .* Choose flashtalk \(4 steps\) or flashtalk_2 \(2 steps\)\.",
        ),
        (
            "multitalk",
            "skyreels",
            r"scheduler: skyreels belongs to SkyReels-V3's weights, .* \(mode skyreels\)",
        ),
    ],
)
def test_weights_and_scheduler_belong_together(mode: str, scheduler: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_scheduler(mode, scheduler, "model.x")


@pytest.mark.parametrize("pair", [("flashtalk", "flashtalk_2"), ("multitalk", "simple")])
def test_weights_with_a_scheduler_of_theirs_pass(pair: tuple[Any, Any]) -> None:
    check_scheduler(*pair, "model.x")
