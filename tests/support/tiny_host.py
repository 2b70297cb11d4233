"""Tiny models in the host's classes, for tests that run the pack's adapters inside this process."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import make_tiny
import torch
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Speakers, Waveform
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds, encode_voices
from tiny_speech import speech_like

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from evertalk_pack.nodes.host.run.plan import RunPlan

RATE_HZ = 16000
SIDE_PX = 32
TEXT_TOKENS, TEXT_DIM = 8, 4096


@dataclass(frozen=True)
class TinyFiles:
    """Where the tiny checkpoints lie."""

    base: Path
    talk: Path
    speech: Path
    vae: Path

    @classmethod
    def made_in(cls, models: Path) -> "TinyFiles":
        make_tiny.make_all(models, make_tiny.WIRED)
        names = (make_tiny.BASE_FILE, make_tiny.TALK_FILE, make_tiny.SPEECH_FILE, make_tiny.VAE_FILE)
        return cls(*(models / name for name in names))


def load_model(files: TinyFiles, mode: Any = "infinitetalk", attention_mode: str = "sdpa") -> "ModelPatcher":
    """The tiny base with the tiny audio weights on it, loaded as the nodes load them."""
    from evertalk_pack.nodes.host.model.files import base_size, check_base_file, check_talk_file
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base, load_talk
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    base, _ = load_base(files.base, Quantization.AS_STORED)
    config = check_talk_file(files.talk, base_size(check_base_file(files.base)))
    attachment = AudioAttachment(files.talk.name, mode, attention_mode, load_talk(files.talk, config))
    return apply_talk(base, attachment)


def load_vae(files: TinyFiles) -> Any:
    import comfy.sd
    from comfy.utils import load_torch_file

    return comfy.sd.VAE(sd=load_torch_file(str(files.vae), safe_load=True))


def speech(files: TinyFiles, video_frames: int) -> AudioEmbeds:
    """Encoded noise in bursts, as long as `video_frames`."""
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder

    sound = Waveform(speech_like(video_frames * RATE_HZ // 25)[None], RATE_HZ)
    return encode_voices(load_speech_encoder(files.speech), Speakers(("A",), (sound,), sound))


def unheard(video_frames: int, **changed: Any) -> AudioEmbeds:
    """Features of nothing for silence as long as `video_frames`, where it matters only how long it is."""
    sound = Waveform(torch.zeros(1, RATE_HZ // 25 * video_frames), RATE_HZ)
    tracks = (torch.zeros(video_frames + TAIL_FRAMES, 2, 128),)
    return replace(AudioEmbeds(tracks, video_frames, sound), **changed)


def plan_of(
    values: dict[str, Any],
    embeds: AudioEmbeds,
    options: Any = None,
    *,
    has_negative: bool = False,
    **changed: Any,
) -> "RunPlan":
    """What the sampler plans for a picture with these widgets; `changed` are others."""
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets

    asked = SamplerWidgets.of(widgets(**{**values, **changed}))
    return plan_run(PlanInputs(asked, embeds, picture(), options or RunOptions(), has_negative))


def conditioning(seed: int = 0) -> list[Any]:
    """A prompt of random text embeddings."""
    generator = torch.Generator().manual_seed(seed)
    return [[0.2 * torch.randn(1, TEXT_TOKENS, TEXT_DIM, generator=generator), {}]]


def picture(height_px: int = SIDE_PX, width_px: int = SIDE_PX) -> torch.Tensor:
    """An IMAGE of one picture with a horizontal and a vertical ramp."""
    rows, columns = torch.linspace(0, 1, height_px), torch.linspace(0, 1, width_px)
    ramp = torch.stack((rows[:, None].expand(-1, width_px), columns[None].expand(height_px, -1)), dim=-1)
    return torch.cat((ramp, ramp.mean(-1, keepdim=True)), dim=-1)[None]


def widgets(**changed: Any) -> dict[str, Any]:
    """The sampler's widgets: tiny and quick unless changed."""
    return {
        "size": "custom",
        "width": SIDE_PX,
        "height": SIDE_PX,
        "window_frames": 9,
        "motion_frames": 5,
        "scheduler": "multitalk",
        "steps": 4,
        "shift": 11.0,
        "sampler_name": "euler",
        "text_scale": 1.0,
        "audio_scale": 1.0,
        "seed": 1,
        "output": "video",
        "filename_prefix": "EverTalk/test",
        **changed,
    }


@dataclass
class Watched:
    """What the transformer is given, call by call; put around it with `watch`."""

    x_BCTHW: list[torch.Tensor]
    timesteps_B: list[torch.Tensor]

    @property
    def rows(self) -> int:
        """Evaluations: a call's batch counts each row."""
        return sum(len(x_BCTHW) for x_BCTHW in self.x_BCTHW)


def watch(model: "ModelPatcher") -> Watched:
    """Note each call of the model's transformer from now on."""
    from comfy.patcher_extension import WrappersMP

    watched = Watched([], [])

    def note(
        executor: Any, x: torch.Tensor, timestep: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        watched.x_BCTHW.append(x.clone())
        watched.timesteps_B.append(timestep.clone())
        return executor(x, timestep, *args, **kwargs)

    model.add_wrapper(WrappersMP.DIFFUSION_MODEL, note)
    return watched


def plain_sample(model: "ModelPatcher", steps: int = 2) -> torch.Tensor:
    """What the host's own guider samples with a MODEL: no audio, nothing of the pack's guider."""
    from comfy.samplers import CFGGuider, sampler_object

    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(1, 16, 3, 4, 4, generator=generator)
    values = {"concat_latent_image": 0.5 * latents, "concat_mask": torch.ones(1, 1, 3, 4, 4)}
    prompt = [[embeds, {**options, **values}] for embeds, options in conditioning()]
    guider = CFGGuider(model)
    guider.set_conds(prompt, prompt)
    guider.set_cfg(1.0)
    sigmas = torch.linspace(1, 0, steps + 1)
    return guider.sample(
        latents, torch.zeros_like(latents), sampler_object("euler"), sigmas, disable_pbar=True, seed=0
    )


def play_windows(
    model: "ModelPatcher", vae: Any, embeds: AudioEmbeds, writer: Any = None, **changed: Any
) -> torch.Tensor:
    """A whole run with the sampler's widgets `changed`; the last window's latents."""
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets
    from evertalk_pack.nodes.host.run.windowed_run import check_models, run_windows
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    asked = SamplerWidgets.of(widgets(**changed))
    plan = plan_run(PlanInputs(asked, embeds, picture(), has_negative=True))
    prompt = conditioning(0)
    run_models = RunModels(model, vae, lambda _window: prompt, conditioning(1), lambda _frame: None)
    return run_windows(plan, run_models, check_models(plan, run_models), writer).latents_BCTHW
