import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.common.errors import EverTalkError
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.windows.loop import WindowRequest, WindowVoices
from evertalk_pack.multitalk.windows.modes import InfiniteTalkMode, MultiTalkMode, WindowInputs, WindowMode
from evertalk_pack.multitalk.windows.plan import Window
from evertalk_pack.multitalk.windows.seeds import Draw, seeded_noise
from evertalk_pack.multitalk.windows.voices import window_of_frames
from tiny_host import SIDE_PX, TinyFiles, conditioning, load_model, picture, play_windows, speech, watch

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from evertalk_pack.nodes.host.sampling.comfy_backend import ComfyBackend

pytestmark = pytest.mark.host

WINDOW, MOTION = 9, 5
KNOWN = 2
"""Latent frames of the motion frames."""

SHAPE = (1, 16, 3, SIDE_PX // 8, SIDE_PX // 8)


def comfy_backend_for(
    model: "ModelPatcher", vae: Any, guidance: GuidanceSettings | None = None, backend: Any = None
) -> "ComfyBackend":
    from evertalk_pack.nodes.host.model.backend import backend_for
    from evertalk_pack.nodes.host.report.progress import RunProgress
    from evertalk_pack.nodes.host.sampling.comfy_backend import ComfyBackend, RunModels, SamplingSettings

    settings = SamplingSettings(torch.tensor([1.0, 0.5, 0.0]), "euler", guidance or GuidanceSettings(), 1)
    prompt = conditioning(0)
    run_models = RunModels(model, vae, lambda _window: prompt, conditioning(1), lambda _frame: None)
    return ComfyBackend(run_models, settings, backend or backend_for(model, "sdpa"), RunProgress(model, 1, 2))


def later_window(
    sampling_backend: "ComfyBackend", tiny: TinyFiles, mode: WindowMode, begin: Callable[[], Draw]
) -> WindowRequest:
    """A second window that continues from grey frames."""
    motion = torch.full((MOTION, SIDE_PX, SIDE_PX, 3), 0.3)
    track = speech(tiny, 13).tracks_NLC[0]
    return WindowRequest(
        window=Window(1, 4, WINDOW, MOTION, 4),
        condition=mode.condition(WindowInputs(picture()[0], motion, WINDOW), sampling_backend.encode),
        voices=WindowVoices(window_of_frames(track, 4, WINDOW)[None]),
        noise_BCTHW=seeded_noise(1, 1)(SHAPE),
        more_noise=begin,
    )


def ones() -> Draw:
    """Noise that a test can reckon with."""
    return torch.ones


def seeded() -> Draw:
    return seeded_noise(1, 1)


@pytest.mark.parametrize(
    ("text_scale", "audio_scale", "evaluations"),
    [
        (1.0, 1.0, 1),
        (1.0, 2.0, 2),
        (5.0, 1.0, 2),
        (5.0, 4.0, 3),
        (1.0, 0.0, 1),
        (5.0, 0.0, 2),
    ],
)
def test_a_step_takes_as_few_evaluations_as_the_scales_need(
    talking: "ModelPatcher",
    tiny: TinyFiles,
    vae: Any,
    text_scale: float,
    audio_scale: float,
    evaluations: int,
) -> None:
    watched = watch(talking)
    play_windows(talking, vae, speech(tiny, WINDOW), text_scale=text_scale, audio_scale=audio_scale)
    assert watched.rows == 4 * evaluations


@pytest.mark.parametrize("text_scale", [1.0, 5.0])
def test_audio_scale_zero_is_silent_whatever_is_said(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, text_scale: float
) -> None:
    said = speech(tiny, WINDOW)
    other = type(said)(tuple(-2 * track for track in said.tracks_NLC), said.video_frames, said.sound)
    silent = [
        play_windows(talking, vae, embeds, audio_scale=0.0, text_scale=text_scale) for embeds in (said, other)
    ]
    heard = [
        play_windows(talking, vae, embeds, audio_scale=1.0, text_scale=text_scale) for embeds in (said, other)
    ]
    assert torch.equal(*silent)
    assert (heard[0] - heard[1]).abs().max() > 1e-3, "the speech matters otherwise"


def test_guidance_scales_change_the_result(talking: "ModelPatcher", tiny: TinyFiles, vae: Any) -> None:
    embeds = speech(tiny, WINDOW)
    results = [
        play_windows(talking, vae, embeds, text_scale=text, audio_scale=audio)
        for text, audio in ((1.0, 1.0), (1.0, 3.0), (5.0, 1.0), (5.0, 3.0))
    ]
    pairs = [(first, second) for index, first in enumerate(results) for second in results[:index]]
    assert all((first - second).abs().max() > 1e-4 for first, second in pairs)


def test_pinned_frames_stay_clean_at_every_call_and_come_out_exactly(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    sampling_backend = comfy_backend_for(talking, vae)
    request = later_window(sampling_backend, tiny, InfiniteTalkMode(), ones)
    watched = watch(talking)
    latents = sampling_backend.sample(request)
    assert request.condition.pin is not None
    pinned = request.condition.pin.latents_BCTHW
    normalised = talking.model.process_latent_in(pinned)
    assert all(torch.equal(x[:, :16, :KNOWN], normalised) for x in watched.x_BCTHW)
    assert len(watched.x_BCTHW) == 2
    assert torch.allclose(latents[:, :, :KNOWN], pinned, atol=1e-5)


def test_multitalk_s_pins_have_the_noise_of_each_call_and_come_out_clean(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    sampling_backend = comfy_backend_for(talking, vae)
    request = later_window(sampling_backend, tiny, MultiTalkMode(), ones)
    watched = watch(talking)
    latents = sampling_backend.sample(request)
    assert request.condition.pin is not None
    pinned = request.condition.pin.latents_BCTHW
    normalised = talking.model.process_latent_in(pinned)
    for x_BCTHW, timestep_B in zip(watched.x_BCTHW, watched.timesteps_B, strict=True):
        sigma = timestep_B.item() / 1000
        assert torch.allclose(x_BCTHW[:, :16, :KNOWN], (1 - sigma) * normalised + sigma, atol=1e-5)
    assert [timestep.item() for timestep in watched.timesteps_B] == [1000, 500]
    assert torch.allclose(latents[:, :, :KNOWN], pinned, atol=1e-5)


def test_the_mask_marks_the_known_latents(talking: "ModelPatcher", tiny: TinyFiles, vae: Any) -> None:
    sampling_backend = comfy_backend_for(talking, vae)
    watched = watch(talking)
    for mode, known in ((InfiniteTalkMode(), 1), (MultiTalkMode(), KNOWN)):
        watched.x_BCTHW.clear()
        sampling_backend.sample(later_window(sampling_backend, tiny, mode, ones))
        mask = watched.x_BCTHW[0][0, 16:20]
        assert mask[:, :known].eq(1).all()
        assert mask[:, known:].eq(0).all()


def nan_attention(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    del k_BKHD, v_BKHD
    return torch.full_like(q_BQHD, torch.nan)


@pytest.mark.parametrize("mode", [InfiniteTalkMode(), MultiTalkMode()], ids=["infinitetalk", "multitalk"])
def test_a_backend_that_gives_nan_is_followed_by_the_next_from_the_window_s_start(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, mode: WindowMode, caplog: pytest.LogCaptureFixture
) -> None:
    from evertalk_pack.attention.choice import AttentionChoice
    from evertalk_pack.nodes.host.model.backend import RunAttention

    expected_backend = comfy_backend_for(talking, vae)
    expected = expected_backend.sample(later_window(expected_backend, tiny, mode, ones))
    broken = RunAttention(
        AttentionChoice("sageattn", "sageattn", nan_attention, exact=False),
        torch.device("cpu"),
        torch.float32,
        128,
    )
    sampling_backend = comfy_backend_for(talking, vae, backend=broken)
    caplog.set_level("INFO", "evertalk")
    latents = sampling_backend.sample(later_window(sampling_backend, tiny, mode, ones))
    assert torch.equal(latents, expected)
    assert sampling_backend.backend.choice.ran == "sdpa"
    assert sampling_backend.backend.attention is attend
    said = "SageAttention not available, falling back to sdpa mode: the first step gave NaN or infinite"
    assert said in caplog.text
    assert "Window 2 of 1, step 1/2" in caplog.text


def test_a_restarted_window_draws_the_same_noise_again(
    tiny: TinyFiles, vae: Any, talking: "ModelPatcher"
) -> None:
    from evertalk_pack.attention.choice import AttentionChoice
    from evertalk_pack.nodes.host.model.backend import RunAttention

    expected_backend = comfy_backend_for(talking, vae)
    mode = MultiTalkMode()
    expected = expected_backend.sample(later_window(expected_backend, tiny, mode, seeded))
    choice = AttentionChoice("sageattn", "sageattn", nan_attention, exact=False)
    sampling_backend = comfy_backend_for(
        talking, vae, backend=RunAttention(choice, torch.device("cpu"), torch.float32, 128)
    )
    assert torch.equal(sampling_backend.sample(later_window(sampling_backend, tiny, mode, seeded)), expected)


class ShortOfMemory:
    """Attention that runs out of memory the first few times, and what the host was asked for before each."""

    def __init__(self, talking: "ModelPatcher", times: int) -> None:
        self.talking, self.times = talking, times
        self.asked: list[int] = []

    def __call__(self, q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        asked = self.talking.model.memory_required([1, 16, 3, 4, 4])
        if not self.asked or asked != self.asked[-1]:
            self.asked.append(asked)
        if len(self.asked) <= self.times:
            message = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.OutOfMemoryError(message)
        return attend(q_BQHD, k_BKHD, v_BKHD)


def short_backend(talking: "ModelPatcher", vae: Any, short: ShortOfMemory) -> "ComfyBackend":
    from evertalk_pack.attention.choice import AttentionChoice
    from evertalk_pack.nodes.host.model.backend import RunAttention

    choice = AttentionChoice("sdpa", "sdpa", short, exact=True)
    return comfy_backend_for(
        talking, vae, backend=RunAttention(choice, torch.device("cpu"), torch.float32, 128)
    )


def test_a_window_that_runs_out_of_memory_is_begun_again_with_more_left_free(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from evertalk_pack.nodes.host.sampling.comfy_backend import MORE_FREE_FIRST_GB

    expected_backend = comfy_backend_for(talking, vae)
    mode = MultiTalkMode()
    expected = expected_backend.sample(later_window(expected_backend, tiny, mode, seeded))
    short = ShortOfMemory(talking, 1)
    sampling_backend = short_backend(talking, vae, short)
    caplog.set_level("INFO", "evertalk")
    assert torch.equal(sampling_backend.sample(later_window(sampling_backend, tiny, mode, seeded)), expected)
    first, second = short.asked
    assert second - first == MORE_FREE_FIRST_GB * 1024**3
    assert "Window 2: the GPU's memory did not suffice; begun again with 1 GB more left free" in caplog.text


def test_a_window_ends_with_the_error_where_no_weights_are_left_to_make_room(
    talking: "ModelPatcher", tiny: TinyFiles, vae: Any
) -> None:
    short = ShortOfMemory(talking, 99)
    sampling_backend = short_backend(talking, vae, short)
    with pytest.raises(torch.OutOfMemoryError, match="for a window of 32x32 and 9 frames, even with"):
        sampling_backend.sample(later_window(sampling_backend, tiny, MultiTalkMode(), seeded))
    assert len(short.asked) == 2, "tiny weights take less than the first step makes free"


def test_a_gpu_that_stays_full_is_given_up_on_after_a_handful_of_tries(
    tiny: TinyFiles, vae: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    talking = load_model(tiny)
    monkeypatch.setattr(talking, "size", 22 * 1024**3)  # where the host keeps it once it was counted
    short = ShortOfMemory(talking, 99)
    sampling_backend = short_backend(talking, vae, short)
    caplog.set_level("INFO", "evertalk")
    with pytest.raises(torch.OutOfMemoryError, match="even with the weights in RAM"):
        sampling_backend.sample(later_window(sampling_backend, tiny, MultiTalkMode(), seeded))
    more_free_gb = [(asked - short.asked[0]) / 1024**3 for asked in short.asked]
    assert more_free_gb == [0, 1, 2, 4, 8, 16, 23], "the last takes all weights, the audio weights too"
    told = re.findall(r"begun again with (.+) GB more left free", caplog.text)
    assert told == ["1", "2", "4", "8", "16", "23"]


def test_nan_from_the_weights_themselves_ends_the_run_with_a_remedy(tiny: TinyFiles, vae: Any) -> None:
    talking = load_model(tiny)
    with torch.no_grad():
        talking.model.diffusion_model.blocks[0].ffn[0].weight.fill_(torch.nan)
    with pytest.raises(
        EverTalkError, match=r"PyTorch's own attention too.*Choose compute 'bfloat16' and quantization 'bf16'"
    ):
        play_windows(talking, vae, speech(tiny, WINDOW))


def test_what_is_heard_is_brought_to_the_gpu_once_a_window(
    tiny: TinyFiles, vae: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evertalk_pack.nodes.host.model.patcher import TalkForward

    heard: list[int] = []
    hooks = TalkForward.hooks

    def noted(self: TalkForward, *given: Any) -> Any:
        heard.extend(id(branch.audio_SFKLC) for branch in self.call.branches)
        return hooks(self, *given)

    monkeypatch.setattr(TalkForward, "hooks", noted)
    model = load_model(tiny)
    sampling_backend = comfy_backend_for(model, vae, GuidanceSettings(1.0, 2.0))
    sampling_backend.sample(later_window(sampling_backend, tiny, InfiniteTalkMode(), ones))
    assert len(heard) == 2 * 2 * 2, "two steps, two evaluations, each told of both branches"
    assert len(set(heard)) == 2
