"""Schedules, the VAE's check, and what a run keeps in memory."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError, MachineError
from evertalk_pack.multitalk.common.fingerprint import fingerprint
from evertalk_pack.multitalk.common.safe_path import checked_prefix
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.media.video_reader import probe_video
from evertalk_pack.multitalk.runs.folder import RunPlace
from evertalk_pack.multitalk.runs.identity import RunIdentity, VideoForm
from evertalk_pack.multitalk.runs.manifest import WindowStats
from evertalk_pack.multitalk.runs.overlap_file import WindowOverlap
from evertalk_pack.multitalk.runs.store import RunStore
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.windows.colour import colour_drift
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from evertalk_pack.multitalk.windows.settings import NoiseSchedule
from frames_in_memory import frame_tensors, frames_in_memory
from tiny_host import SIDE_PX, TinyFiles, play_windows, speech, watch

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_multitalk_always_has_its_four_shifted_levels(steps: int) -> None:
    from evertalk_pack.nodes.host.sampling.comfy_backend import sigmas_for

    sigmas = sigmas_for(NoiseSchedule("multitalk", steps, shift=11.0))
    assert sigmas.tolist() == pytest.approx([1, 33 / 34, 11 / 12, 11 / 14, 0], rel=1e-5)


def test_infinitetalk_s_levels_follow_steps_and_shift() -> None:
    from evertalk_pack.nodes.host.sampling.comfy_backend import sigmas_for

    sigmas = sigmas_for(NoiseSchedule("infinitetalk", 3, shift=1.0))
    assert sigmas.tolist() == pytest.approx([1, 0.5005, 0.001, 0])


@pytest.mark.parametrize(
    "scheduler", ["simple", "normal", "sgm_uniform", "karras", "exponential", "beta", "kl_optimal"]
)
def test_the_host_s_schedulers_give_as_many_falling_levels_as_steps(scheduler: str) -> None:
    from evertalk_pack.nodes.host.sampling.comfy_backend import sigmas_for

    sigmas = sigmas_for(NoiseSchedule(scheduler, 6, shift=5.0))
    assert len(sigmas) == 7
    assert sigmas[0] == pytest.approx(1.0, abs=1e-3)
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


def test_the_host_s_schedulers_take_the_shift() -> None:
    from evertalk_pack.nodes.host.sampling.comfy_backend import sigmas_for

    shifted, plain = (sigmas_for(NoiseSchedule("simple", 4, shift=shift)) for shift in (5.0, 1.0))
    assert plain.tolist() == pytest.approx([1, 0.75, 0.5, 0.25, 0], abs=2e-3)
    assert shifted.tolist() == pytest.approx([5 * s / (1 + 4 * s) for s in plain.tolist()], abs=2e-3)


def test_the_levels_are_what_the_model_is_called_with(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    watched = watch(talking)
    play_windows(talking, vae, speech(tiny, 9), scheduler="multitalk", shift=1.0, steps=20)
    assert [timestep.item() for timestep in watched.timesteps_B] == [1000, 750, 500, 250]


def test_wan_s_vae_passes(vae: Any) -> None:
    from evertalk_pack.nodes.host.codecs.vae import check_vae

    check_vae(vae)


def test_an_image_vae_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    import comfy.sd
    from evertalk_pack.nodes.host.codecs.vae import check_vae

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
    """Counts frames as windows come; the window before is not written until then, as on a busy machine."""

    def __init__(self, place: RunPlace, card: RunIdentity, form: VideoForm) -> None:
        self.windows = self.most_frames = 0
        self._of_others = frame_tensors(SIDE_PX, SIDE_PX)
        self._next_is_here, self._at_writer = threading.Event(), threading.Condition()
        self._num_at_writer = 0
        super().__init__(place, card, form, written=lambda _record, _path: self._wait())

    def add(
        self,
        window: Window,
        frames_FHWC: torch.Tensor,
        carry: WindowOverlap,
        measure: Callable[[], WindowStats],
    ) -> None:
        self.windows += 1
        self.most_frames = max(self.most_frames, frames_in_memory(SIDE_PX, SIDE_PX, self._of_others))
        if self.windows > 1:
            self.go_on()
        super().add(window, frames_FHWC, carry, measure)

    def wait(self) -> None:
        self.go_on()
        super().wait()

    def go_on(self) -> None:
        self._next_is_here.set()

    def wait_for_the_writer(self) -> None:
        """Until it is at the window that was added last, and so has let go of the one before."""
        with self._at_writer:
            assert self._at_writer.wait_for(lambda: self._num_at_writer == self.windows, 60)

    def _wait(self) -> None:
        with self._at_writer:
            self._num_at_writer += 1
            self._at_writer.notify()
        assert self._next_is_here.wait(60)
        self._next_is_here.clear()


def test_twenty_windows_hold_no_more_frames_in_memory_than_two(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes.host.codecs.vae import Codec

    most_encoding = most_decoding = 0
    of_others = frame_tensors(SIDE_PX, SIDE_PX)
    encode, decode = Codec.encode, Codec.decode

    def counted_encode(self: Codec, frames_FHWC: torch.Tensor) -> torch.Tensor:
        nonlocal most_encoding
        store.wait_for_the_writer()
        most_encoding = max(most_encoding, frames_in_memory(SIDE_PX, SIDE_PX, of_others))
        return encode(self, frames_FHWC)

    def counted_decode(self: Codec, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        nonlocal most_decoding
        frames_FHWC = decode(self, latents_BCTHW)
        most_decoding = max(most_decoding, frames_in_memory(SIDE_PX, SIDE_PX, of_others))
        return frames_FHWC

    monkeypatch.setattr(Codec, "encode", counted_encode)
    monkeypatch.setattr(Codec, "decode", counted_decode)
    window, motion, frames = 9, 5, 9 + 19 * 4
    embeds = speech(tiny, frames)
    windows = plan_windows(frames, window, motion)
    keys = tuple(fingerprint(one) for one in windows)
    name = checked_prefix("long", tmp_path)
    place = RunPlace(tmp_path, name, name)
    form = VideoForm(SIDE_PX, SIDE_PX, embeds.sound)
    store = CountingStore(place, RunIdentity(fingerprint(keys), keys, windows, {}), form)
    with store:
        play_windows(talking, vae, embeds, store, window_frames=window, motion_frames=motion)
        video = store.finish()
    assert store.windows == 20
    assert probe_video(video).frames == frames
    # The window that is made, and the one before, of which the writer has all.
    assert store.most_frames == most_decoding == 2 * window
    # While a window is begun: the one before, and a copy of its motion frames; no other has frames yet.
    assert most_encoding == window + motion


@pytest.mark.parametrize("window", [1, 2])
def test_memory_that_is_wanting_where_a_window_is_measured_is_told_in_words(
    talking: "ModelPatcher",
    tiny: TinyFiles,
    vae: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    window: int,
) -> None:
    from evertalk_pack.multitalk.windows import report

    measured = 0

    def drift(frames_FHWC: torch.Tensor, reference_HWC: torch.Tensor) -> float:
        nonlocal measured
        measured += 1
        if measured == window:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return colour_drift(frames_FHWC, reference_HWC)

    monkeypatch.setattr(report, "colour_drift", drift)
    embeds = speech(tiny, 13)
    windows = plan_windows(13, 9, 5)
    keys = tuple(fingerprint(one) for one in windows)
    name = checked_prefix("short", tmp_path)
    identity = RunIdentity(fingerprint(keys), keys, windows, {})
    store = RunStore(RunPlace(tmp_path, name, name), identity, VideoForm(SIDE_PX, SIDE_PX, embeds.sound))
    with pytest.raises(MachineError, match="the computer's RAM does not suffice"), store:
        play_windows(talking, vae, embeds, store, window_frames=9, motion_frames=5)
    assert len(store.stats) == window - 1
