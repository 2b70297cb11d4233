"""Talking films of cartoon people by the trained models, through the pack's own code in the host.

Shape letters: S voices, F frames, H and W pixels, C colours, M masks, P tokens, N frames of a track with
its tail.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from evertalk_pack.multitalk.common.types import Speakers, Waveform
from evertalk_pack.multitalk.speech.embeds import encode_voices
from evertalk_pack.multitalk.windows.joins import join_windows
from evertalk_pack.multitalk.windows.loop import (
    RunSpec,
    SamplingBackend,
    WindowRequest,
    WindowVoices,
    generate,
)
from evertalk_pack.multitalk.windows.plan import Window
from plain_vae import PlainVae
from world.draw import Pose, draw
from world.mouth import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, mouth_law
from world.people import HEIGHT_PX, make_people, make_stage

WINDOW_FRAMES, MOTION_FRAMES, SHIFT = 33, 9, 5.0
"""What the miniature was trained for."""

BLEND_FRAMES = 9
"""As the demo's look has it."""

TWO_WINDOWS_S = (2 * WINDOW_FRAMES - MOTION_FRAMES) / 25

if TYPE_CHECKING:
    from evertalk_pack.nodes.host.run.request import SamplerWidgets

VOICES = Path(__file__).resolve().parent / "voices"

Change = Callable[[RunSpec], RunSpec]


@dataclass(frozen=True)
class Troupe:
    """The trained models, loaded as the nodes load them."""

    model: Any
    vae: Any
    plain_vae: PlainVae
    positive: Any
    encoder: Any


@dataclass(frozen=True)
class QuickBackend:
    """The host's backend with the VAE as one pass: equal numbers (a test compares), a fraction of the host's
    time.

    Attributes:
        host: samples.
        plain: encodes and decodes.
    """

    host: SamplingBackend
    plain: PlainVae

    @torch.no_grad()
    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """See SamplingBackend."""
        return self.plain.encode(frames_FHWC.movedim(-1, 1)[None] * 2 - 1).transpose(1, 2)

    def sample(self, request: WindowRequest) -> torch.Tensor:
        """See SamplingBackend."""
        return self.host.sample(request)

    @torch.no_grad()
    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """See SamplingBackend."""
        video = self.plain.decode(latents_BCTHW.transpose(1, 2).float())[0] * 0.5 + 0.5
        return video.clamp(0, 1).movedim(1, -1).contiguous()


@dataclass(frozen=True)
class Film:
    """A film and what it should show.

    Attributes:
        frames_FHWC: the video.
        unblended_FHWC: the video, its windows one behind the other as they are.
        reference_HWC: the picture it began with.
        law_SF: each voice's mouth.
    """

    frames_FHWC: torch.Tensor
    unblended_FHWC: torch.Tensor
    reference_HWC: torch.Tensor
    law_SF: torch.Tensor


def load_troupe(models: Path) -> Troupe:
    """Load what demo/make_tiny.py wrote to `models`."""
    import comfy.sd
    from evertalk_pack.nodes.host.codecs.speech import load_speech_encoder
    from evertalk_pack.nodes.host.codecs.text_embeds import load_text_embeds
    from evertalk_pack.nodes.host.model.files import base_size, check_base_file, check_talk_file
    from evertalk_pack.nodes.host.model.loaders import Quantization, load_base, load_talk
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk
    from safetensors.torch import load_file

    base = models / "diffusion_models" / "evertalk_tiny_wan_i2v.safetensors"
    talk = models / "model_patches" / "evertalk_tiny_infinitetalk.safetensors"
    model, _ = load_base(base, Quantization.AS_STORED)
    config = check_talk_file(talk, base_size(check_base_file(base)))
    attachment = AudioAttachment(talk.name, "infinitetalk", "sdpa", load_talk(talk, config))
    vae = load_file(models / "vae" / "evertalk_tiny_wan_vae.safetensors")
    plain = PlainVae().requires_grad_(requires_grad=False)
    plain.load_state_dict({name: value.float() for name, value in vae.items()})
    return Troupe(
        apply_talk(model, attachment),
        comfy.sd.VAE(sd=vae),
        plain,
        load_text_embeds(models / "evertalk_text_embeds" / "evertalk_tiny_prompt.safetensors"),
        load_speech_encoder(models / "audio_encoders" / "evertalk_tiny_wav2vec2.safetensors"),
    )


def portrait(seed: int, people: int) -> torch.Tensor:
    """A picture (H, W, C) of one or two people with shut mouths whom nobody trained on."""
    still = torch.zeros(1, 2, 1)
    pose = Pose(still, still, torch.ones(1, 2, 1), still, still)
    return draw(make_people(seed, 1, people), make_stage(seed, 1), pose)[0, 0].movedim(0, -1)


def make_film(
    troupe: Troupe,
    picture_HWC: torch.Tensor,
    voices: list[torch.Tensor],
    change: Change = lambda spec: spec,
    *,
    steps: int | None = None,
) -> Film:
    """Film the picture's people speaking with these voices (samples at 16 kHz), the first on the left.

    `steps` are InfiniteTalk's, of which there may be many; else the four that the miniature was trained for.
    """
    from evertalk_pack.nodes.host.model.patcher import attachment_of
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.windowed_run import comfy_backend_for, spec_of
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    sounds = [Waveform(voice[None], SAMPLE_RATE_HZ) for voice in voices]
    speakers = Speakers(("A", "B")[: len(sounds)], tuple(sounds), sounds[0])
    embeds = encode_voices(troupe.encoder, speakers)
    widgets = _widgets() if steps is None else replace(_widgets(), scheduler="infinitetalk", steps=steps)
    plan = plan_run(PlanInputs(widgets, embeds, picture_HWC[None]))
    run_models = RunModels(
        troupe.model, troupe.vae, lambda _window: troupe.positive, None, lambda _frame: None
    )
    attachment = attachment_of(troupe.model)
    sampling_backend = QuickBackend(comfy_backend_for(plan, run_models, attachment), troupe.plain_vae)
    windows = list(generate(change(spec_of(plan, attachment)), sampling_backend))
    frames = [part.frames_FHWC for part in join_windows(windows, BLEND_FRAMES, len(plan.windows))]
    laws = [mouth_law(voice, embeds.video_frames, len(voice)).opening_F for voice in voices]
    unblended = torch.cat([window.frames_FHWC for window in windows])
    return Film(torch.cat(frames), unblended, picture_HWC, torch.stack(laws))


def _widgets() -> "SamplerWidgets":
    from evertalk_pack.nodes.host.run.request import SamplerWidgets

    return SamplerWidgets(
        size="custom",
        width=HEIGHT_PX,
        height=HEIGHT_PX,
        window_frames=WINDOW_FRAMES,
        motion_frames=MOTION_FRAMES,
        scheduler="multitalk",
        steps=4,
        shift=SHIFT,
        sampler_name="euler",
        text_scale=1.0,
        audio_scale=1.0,
        seed=1,
        output="video",
        filename_prefix="EverTalk/film",
    )


def voices_changed(change: Callable[[WindowVoices], WindowVoices]) -> Change:
    """A score whose voices are changed in every window."""

    def changed(spec: RunSpec) -> RunSpec:
        def voices(window: Window) -> WindowVoices:
            return change(spec.voices(window))

        return replace(spec, voices=voices)

    return changed


def load_voice(name: str, duration_s: float) -> torch.Tensor:
    """The beginning of tests/demo/voices/`name`.flac, (samples,) at 16 kHz, cut to whole video frames."""
    import soundfile

    samples, rate_hz = soundfile.read(VOICES / f"{name}.flac", dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    count = round(duration_s * FPS) * SAMPLES_PER_FRAME
    assert count <= len(samples), f"{name} is shorter than {duration_s} s"
    return torch.from_numpy(samples[:count])
