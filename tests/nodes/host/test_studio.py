"""Schedules, the VAE's check, and what a run keeps in memory."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.carry_file import Carry
from evertalk_pack.multitalk.errors import InputError
from evertalk_pack.multitalk.fingerprint import fingerprint
from evertalk_pack.multitalk.manifest import WindowStats
from evertalk_pack.multitalk.run_card import RunCard, VideoForm
from evertalk_pack.multitalk.run_folder import RunPlace
from evertalk_pack.multitalk.run_settings import ScheduleSettings
from evertalk_pack.multitalk.run_store import RunStore
from evertalk_pack.multitalk.safe_path import checked_prefix
from evertalk_pack.multitalk.types import TAIL_FRAMES, AudioEmbeds, Waveform
from evertalk_pack.multitalk.video_reader import probe_video
from evertalk_pack.multitalk.windows import Window, plan_windows
from tiny_host import SIDE_PX, TinyFiles, play_windows, speech, watch

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_multitalk_always_has_its_four_shifted_levels(steps: int) -> None:
    from evertalk_pack.nodes.host.studio import sigmas_for

    sigmas = sigmas_for(ScheduleSettings("multitalk", steps, shift=11.0))
    assert sigmas.tolist() == pytest.approx([1, 33 / 34, 11 / 12, 11 / 14, 0], rel=1e-5)


def test_infinitetalk_s_levels_follow_steps_and_shift() -> None:
    from evertalk_pack.nodes.host.studio import sigmas_for

    sigmas = sigmas_for(ScheduleSettings("infinitetalk", 3, shift=1.0))
    assert sigmas.tolist() == pytest.approx([1, 0.5005, 0.001, 0])


@pytest.mark.parametrize(
    "scheduler", ["simple", "normal", "sgm_uniform", "karras", "exponential", "beta", "kl_optimal"]
)
def test_the_host_s_schedulers_give_as_many_falling_levels_as_steps(scheduler: str) -> None:
    from evertalk_pack.nodes.host.studio import sigmas_for

    sigmas = sigmas_for(ScheduleSettings(scheduler, 6, shift=5.0))
    assert len(sigmas) == 7
    assert sigmas[0] == pytest.approx(1.0, abs=1e-3)
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


def test_the_host_s_schedulers_take_the_shift() -> None:
    from evertalk_pack.nodes.host.studio import sigmas_for

    shifted, plain = (sigmas_for(ScheduleSettings("simple", 4, shift=shift)) for shift in (5.0, 1.0))
    assert plain.tolist() == pytest.approx([1, 0.75, 0.5, 0.25, 0], abs=2e-3)
    assert shifted.tolist() == pytest.approx([5 * s / (1 + 4 * s) for s in plain.tolist()], abs=2e-3)


def test_the_levels_are_what_the_model_is_called_with(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    watched = watch(talking)
    play_windows(talking, vae, speech(tiny, 9), scheduler="multitalk", shift=1.0, steps=20)
    assert [timestep.item() for timestep in watched.timesteps_B] == [1000, 750, 500, 250]


def test_wan_s_vae_passes(vae: Any) -> None:
    from evertalk_pack.nodes.host.codecs import check_vae

    check_vae(vae)


def test_an_image_vae_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    import comfy.sd
    from evertalk_pack.nodes.host.codecs import check_vae

    caplog.set_level("CRITICAL")
    image_vae = comfy.sd.VAE(sd={"taesd_decoder.1.weight": torch.zeros(64, 4, 3, 3)})
    with pytest.raises(
        InputError, match=r"vae: this is an image VAE with 4 latent channels .*load wan_2.1_v"
    ):
        check_vae(image_vae)


def test_a_wrong_vae_is_refused_before_anything_is_sampled(
    talking: "ModelPatcher", tiny: TinyFiles, caplog: pytest.LogCaptureFixture
) -> None:
    import comfy.sd

    caplog.set_level("CRITICAL")
    watched = watch(talking)
    image_vae = comfy.sd.VAE(sd={"taesd_decoder.1.weight": torch.zeros(64, 4, 3, 3)})
    with pytest.raises(InputError, match="vae: this is an image VAE"):
        play_windows(talking, image_vae, speech(tiny, 9))
    assert watched.rows == 0


def test_speech_of_another_encoder_is_refused_before_anything_is_sampled(
    talking: "ModelPatcher", vae: Any
) -> None:
    watched = watch(talking)
    sound = Waveform(torch.zeros(1, 640), 16000)
    embeds = AudioEmbeds((torch.zeros(1 + TAIL_FRAMES, 12, 768),), 1, sound)
    expected = r"audio_embeds: the speech encoder gave 9216 values a frame, but evertalk_tiny_inf.* on 256\."
    with pytest.raises(InputError, match=expected):
        play_windows(talking, vae, embeds)
    assert watched.rows == 0


class CountingStore(RunStore):
    """Notes, at each window, how many frames of the video's size are in memory."""

    most_frames = 0
    windows = 0

    def add(self, window: Window, frames_FHWC: torch.Tensor, carry: Carry, stats: WindowStats) -> None:
        self.windows += 1
        self.most_frames = max(self.most_frames, frames_in_memory())
        super().add(window, frames_FHWC, carry, stats)


def frames_in_memory() -> int:
    """Frames of the video's size that any tensor holds; each storage is counted once."""
    storages: dict[int, int] = {}
    for thing in gc.get_objects():
        if type(thing) is torch.Tensor and thing.ndim == 4 and thing.shape[1:] == (SIDE_PX, SIDE_PX, 3):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes() // (SIDE_PX * SIDE_PX * 3 * 4)
    return sum(storages.values())


def test_twenty_windows_hold_no_more_frames_in_memory_than_two(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, tmp_path: Path
) -> None:
    window, motion, frames = 9, 5, 9 + 19 * 4
    embeds = speech(tiny, frames)
    windows = plan_windows(frames, window, motion)
    keys = tuple(fingerprint(one) for one in windows)
    name = checked_prefix("long", tmp_path)
    place = RunPlace(tmp_path, name, name)
    form = VideoForm(SIDE_PX, SIDE_PX, embeds.sound)
    store = CountingStore(place, RunCard(fingerprint(keys), keys, windows, {}), form)
    with store:
        play_windows(talking, vae, embeds, store, window_frames=window, motion_frames=motion)
        video = store.finish()
    assert store.windows == 20
    assert probe_video(video).frames == frames
    # The one that is handed over and, on a busy machine, the one before that is still being written.
    most = 2 * (window + motion) + 1
    assert window <= store.most_frames <= most, "two windows with what they carry on, and the picture"
