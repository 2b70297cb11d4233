"""Golden cases of the whole window loop, run through the host's own sampler, VAE and memory management.

Given to the run from the golden: noise, reference pictures, and what the reference appended to the audio; all
else is computed and compared. Where the reference cuts the video depends on its last speaker (goldens'
README, 3): of its frames, all are compared.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from evertalk_pack.multitalk.common.mask_places import default_masks
from evertalk_pack.multitalk.model.audio_model import AudioModel
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.speakers.masks import SpeakerMasks, make_speaker_masks, token_masks
from evertalk_pack.multitalk.windows.colour import match_colour
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import MODES, WindowCondition
from evertalk_pack.multitalk.windows.plan import Window, plan_windows
from evertalk_pack.multitalk.windows.settings import FLASHTALK_SAMPLER
from evertalk_pack.multitalk.windows.voices import newest_frames, window_of_frames
from evertalk_pack.wanvideo.geometry import SPACE_STRIDE
from evertalk_pack.wanvideo.schedule import fixed_timesteps, infinitetalk_timesteps, sigmas_of
from parity_case import Case, Runner, use_comfyui
from torch import nn

from .model import talk_config

A_HAIR_ABOVE_ONE = 1 + 1e-8
"""A scale that is 1 in float32, yet evaluates all branches: the reference does so at 1 too, where the pack
saves those that 1 takes out."""

WAN_PARTS = ("encoder.", "decoder.", "conv1.", "conv2.")


@dataclass
class Recorder:
    """What the transformer was given and what it gave, window by window and step by step."""

    branches: int
    steps: list[tuple[torch.Tensor, list[torch.Tensor]]] = field(default_factory=list)
    picture_BCTHW: torch.Tensor | None = None

    def __call__(
        self, executor: Callable[..., torch.Tensor], x: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        prediction = executor(x, *args, **kwargs)
        options = args[4] if len(args) > 4 else kwargs["transformer_options"]
        order = options["cond_or_uncond"]
        chunks = prediction.chunk(len(order))
        if not self.steps or len(self.steps[-1][1]) == self.branches:
            self.steps.append((x[0, :16].clone(), []))
        self.steps[-1][1].extend(chunks[order.index(branch)][0] for branch in sorted(order))
        self.picture_BCTHW = x[:1, 16:].clone()
        return prediction


def host_models(case: Case, recorder: Recorder) -> tuple[Any, Any]:
    """The case's weights in the host's classes: a MODEL with audio weights, and a VAE."""
    import comfy.sd
    from comfy.model_base import WAN21
    from comfy.model_patcher import ModelPatcher
    from comfy.patcher_extension import WrappersMP
    from comfy.supported_models import WAN21_I2V
    from evertalk_pack.nodes.host.model.patcher import AudioAttachment, apply_talk

    dims = case.config["model"]
    names = (
        "dim",
        "ffn_dim",
        "num_heads",
        "num_layers",
        "text_dim",
        "text_len",
        "freq_dim",
        "in_dim",
        "out_dim",
    )
    settings = WAN21_I2V(
        {"image_model": "wan2.1", "model_type": "i2v", **{name: dims[name] for name in names}}
    )
    settings.set_inference_dtype(torch.float32, None)
    wan = WAN21(settings, image_to_video=True)
    vae_weights = {name: value for name, value in case.weights.items() if name.startswith(WAN_PARTS)}
    talk_weights = {
        name: value for name, value in case.weights.items() if "audio" in name or "norm_x" in name
    }
    rest = {name: value for name, value in case.weights.items() if name not in vae_weights | talk_weights}
    wan.diffusion_model.load_state_dict(rest)
    talk = AudioModel(talk_config(dims, dims["dim"], dims["num_layers"]))
    talk.load_state_dict(talk_weights)
    cpu = torch.device("cpu")
    attachment = AudioAttachment("golden", case.config["run"]["repo"], "sdpa", ModelPatcher(talk, cpu, cpu))
    model = apply_talk(ModelPatcher(wan.eval(), cpu, cpu), attachment)
    model.add_wrapper(WrappersMP.DIFFUSION_MODEL, recorder)
    return model, comfy.sd.VAE(sd=dict(vae_weights), dtype=torch.float32)


def golden_tracks(case: Case, *, padded: bool) -> list[torch.Tensor]:
    """Each speaker's features; for the last window with the tail that the reference appends just before
    it.
    """
    tracks: list[torch.Tensor] = []
    while (name := f"in_audio_emb_{len(tracks) + 1}") in case.inputs:
        pad = case.outputs.get(name.replace("in_audio_emb", "out_audio_pad")) if padded else None
        track = case.inputs[name]
        tracks.append(track if pad is None else torch.cat((track, pad)))
    return tracks


def frame_of(clip_input_BCTHW: torch.Tensor) -> torch.Tensor:
    """A golden's CLIP input, -1..1, as a frame (H, W, 3), 0..1."""
    return (clip_input_BCTHW[0, :, 0].movedim(0, -1) + 1) / 2


def spec_of(case: Case, windows: tuple[Window, ...]) -> RunSpec:
    """The run as the golden describes it."""
    run, outputs = case.config["run"], case.outputs
    infinite, flash = run["repo"] == "infinitetalk", run["repo"] == "flashtalk"
    still = frame_of(outputs["out_w0_clip_input"])

    def reference(window: Window) -> torch.Tensor:
        changed = outputs.get(f"out_w{window.index}_clip_input") if infinite else None
        return still if changed is None or window.index == 0 else frame_of(changed)

    def noise(window: Window) -> Callable[[tuple[int, ...]], torch.Tensor]:
        name = f"out_w{window.index}"
        steps = [outputs[f"{name}_step{step}_noise"] for step in range(run["steps"])] if flash else ()
        draws: Iterator[torch.Tensor] = iter(
            (outputs[f"{name}_noise"], *outputs.get(f"{name}_motion_noise", ()), *steps)
        )
        return lambda shape: next(draws).reshape(shape)

    masks = speaker_masks(case)

    def voices(window: Window) -> WindowVoices:
        if flash:
            return WindowVoices(flashtalk_audio(case, window)[None])
        tracks = golden_tracks(case, padded=window.index + 1 == len(windows))
        audio = torch.stack([window_of_frames(track, window.start, window.frames) for track in tracks])
        return WindowVoices(audio, masks.token_MK if len(tracks) > 1 else None)

    return RunSpec(
        windows=windows,
        mode=MODES[run["repo"]](),
        height_px=run["target"][0],
        width_px=run["target"][1],
        reference=reference,
        voices=voices,
        finish=finish_of(case),
        noise=noise,
    )


def flashtalk_audio(case: Case, window: Window) -> torch.Tensor:
    """What a window hears in FlashTalk's two ways, neither of which is the pack's: from where the video, not
    the window, begins in the whole track; or the end of the window's own buffer, which hears no future.
    """
    if case.config["run"]["audio_mode"] == "stream":
        return newest_frames(case.inputs[f"in_w{window.index}_audio_buffer"], window.frames)
    return window_of_frames(case.inputs["in_audio_emb_1"], window.start + windows_lead(case), window.frames)


def windows_lead(case: Case) -> int:
    """How many first frames each window drops, and so the first leads in by."""
    return case.config["run"]["motion_frame"]


def speaker_masks(case: Case) -> SpeakerMasks:
    """Where the speakers are: the case's boxes, the default places of two, or everywhere for one."""
    run = case.config["run"]
    height_px, width_px = run["target"]
    speakers = len(run["n_audio"])
    if speakers <= 1:
        everywhere = torch.ones(3, height_px // SPACE_STRIDE, width_px // SPACE_STRIDE)
        return SpeakerMasks(everywhere, token_masks(everywhere))
    boxes = run.get("bbox")
    masks_SHW = default_masks(speakers, *run["src"]) if boxes is None else boxed(boxes, *run["src"])
    return make_speaker_masks(masks_SHW, speakers, height_px, width_px)


def boxed(boxes: Any, height_px: int, width_px: int) -> torch.Tensor:
    """The reference's boxes as masks: rows, which it calls x, then columns (goldens' README, 23)."""
    rows_of_people = list(boxes.values()) if isinstance(boxes, Mapping) else list(boxes)
    masks_SHW = torch.zeros(len(rows_of_people), height_px, width_px)
    for mask_HW, box in zip(masks_SHW, rows_of_people, strict=True):
        top, left, bottom, right = (int(side) for side in box)
        mask_HW[top:bottom, left:right] = 1
    return masks_SHW


def finish_of(case: Case) -> Callable[[Window, torch.Tensor], torch.Tensor]:
    """The colour correction of the case."""
    strength = case.config["run"]["cc"]
    if strength == 0:
        return lambda _window, frames_FHWC: frames_FHWC
    reference_HWC = frame_of(case.outputs.get("out_color_reference", case.outputs["out_w0_clip_input"]))
    return lambda _window, frames_FHWC: match_colour(frames_FHWC, reference_HWC, strength)


def conditionings(case: Case) -> tuple[Any, Any, Any]:
    """Prompt, negative prompt and CLIP picture as the host carries them."""
    from comfy.clip_vision import Output

    length = case.config["model"]["text_len"]
    seen: Any = Output()
    seen.penultimate_hidden_states = case.inputs["in_clip_fea"]
    padded = [
        nn.functional.pad(case.inputs[name], (0, 0, 0, length - len(case.inputs[name])))[None]
        for name in ("in_context", "in_context_null")
        if name in case.inputs
    ]
    return [[padded[0], {}]], [[padded[1], {}]] if len(padded) > 1 else None, seen


def sampling_of(case: Case) -> tuple[torch.Tensor, Any]:
    """Timesteps and settings of the case's sampler."""
    from evertalk_pack.nodes.host.sampling.comfy_backend import SamplingSettings

    run = case.config["run"]
    if run["repo"] == "flashtalk":
        listed = run.get("step_list")
        timesteps = fixed_timesteps(listed, run["shift"]) if listed else even_timesteps(run)
        settings = SamplingSettings(
            sigmas_of(timesteps), FLASHTALK_SAMPLER, GuidanceSettings(), run["seed"], renews_noise=True
        )
        return timesteps, settings
    audio_scale = A_HAIR_ABOVE_ONE if run["audio"] == 1 else run["audio"]
    guidance = GuidanceSettings(run["text"], audio_scale, apg=run["apg"])
    timesteps = even_timesteps(run)
    return timesteps, SamplingSettings(sigmas_of(timesteps), "euler", guidance, run["seed"])


def even_timesteps(run: Mapping[str, Any]) -> torch.Tensor:
    """Evenly spaced timesteps, shifted."""
    return infinitetalk_timesteps(run["steps"], run["shift"])


def windows_of(case: Case) -> tuple[Window, ...]:
    """The windows that the reference makes."""
    run = case.config["run"]
    frames, motion = run["frame_num"], run["motion_frame"]
    if run["repo"] == "flashtalk":
        return plan_windows(run["windows"] * (frames - motion), frames, motion, leads=True)
    return plan_windows(min(run["n_audio"][0], run["max_frames"]), frames, motion)


def run_loop(case: Case) -> Mapping[str, torch.Tensor]:
    """All windows of a case through the pack's loop and the host."""
    use_comfyui()
    from evertalk_pack.nodes.host.model.backend import backend_for
    from evertalk_pack.nodes.host.report.progress import RunProgress
    from evertalk_pack.nodes.host.sampling.comfy_backend import ComfyBackend, RunModels

    run = case.config["run"]
    recorder = Recorder(case.info["info"]["calls_per_step"])
    model, vae = host_models(case, recorder)
    positive, negative, seen = conditionings(case)
    timesteps, settings = sampling_of(case)
    windows = windows_of(case)
    sampling_backend = ComfyBackend(
        RunModels(model, vae, lambda _window: positive, negative, lambda _frame: seen),
        settings,
        backend_for(model, "sdpa"),
        RunProgress(model, len(windows), run["steps"]),
    )
    outputs: dict[str, torch.Tensor] = {"out_timesteps": timesteps, "out_video_index": video_index(windows)}
    observed = ObservedBackend(sampling_backend, recorder, outputs)
    spec = spec_of(case, windows)
    for _finished in generate(replace(spec, finish=observed.finishing(spec.finish)), observed):
        recorder.steps.clear()
    outputs["out_ref_target_masks"] = speaker_masks(case).latent_MHW
    if run["cc"]:
        outputs["out_color_reference"] = case.outputs["out_w0_clip_input"]
    outputs["out_video_index"] = outputs["out_video_index"][: len(case.outputs["out_video_index"])]
    return outputs


def video_index(windows: tuple[Window, ...]) -> torch.Tensor:
    """(window, frame in window) of each frame that the windows add, those past the end of the sound too."""
    return torch.tensor(
        [(window.index, frame) for window in windows for frame in range(window.skipped, window.frames)]
    )


class ObservedBackend:
    """A backend that notes what passes through it under the golden names."""

    def __init__(
        self,
        sampling_backend: Any,
        recorder: Recorder,
        outputs: dict[str, torch.Tensor],
        name: Callable[[Window], str] = lambda window: f"out_w{window.index}",
    ) -> None:
        self.sampling_backend, self.recorder, self.outputs = sampling_backend, recorder, outputs
        self.name = name
        self.prefix = ""

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        return self.sampling_backend.encode(frames_FHWC)

    def sample(self, request: Any) -> torch.Tensor:
        self.prefix = self.name(request.window)
        normalise = self.sampling_backend.run_models.model.model.process_latent_in
        latents = self.sampling_backend.sample(request)
        condition: WindowCondition = request.condition
        known = condition.picture_BCTHW[:, :, : condition.known_latents]
        motion = known if condition.pin is None else condition.pin.latents_BCTHW
        assert self.recorder.picture_BCTHW is not None
        self.outputs |= {
            f"{self.prefix}_noise": request.noise_BCTHW[0],
            f"{self.prefix}_audio": request.voices.audio_SFKLC,
            f"{self.prefix}_y": self.recorder.picture_BCTHW,
            f"{self.prefix}_latent_motion_frames": normalise(motion)[0],
            f"{self.prefix}_clip_input": (condition.clip_frame_HWC * 2 - 1).movedim(-1, 0)[None, :, None],
            f"{self.prefix}_x0": normalise(latents)[0],
        }
        for index, (latent_in, predictions) in enumerate(self.recorder.steps):
            self.outputs[f"{self.prefix}_step{index}_latent_in"] = latent_in
            for branch, prediction in enumerate(predictions):
                self.outputs[f"{self.prefix}_step{index}_pred{branch}"] = prediction
        return latents

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        frames_FHWC = self.sampling_backend.decode(latents_BCTHW)
        self.outputs[f"{self.prefix}_decoded"] = golden_frames(frames_FHWC)
        return frames_FHWC

    def finishing(
        self, finish: Callable[[Window, torch.Tensor], torch.Tensor]
    ) -> Callable[[Window, torch.Tensor], torch.Tensor]:
        """`finish`, its result noted."""

        def noted(window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
            finished = finish(window, frames_FHWC)
            self.outputs[f"{self.prefix}_corrected"] = golden_frames(finished)
            return finished

        return noted


def golden_frames(frames_FHWC: torch.Tensor) -> torch.Tensor:
    """Frames 0..1 as the goldens hold them: (3, F, H, W), -1..1."""
    return (frames_FHWC * 2 - 1).movedim(-1, 0)


RUNNERS: dict[str, Runner] = {
    "loop_flashtalk": run_loop,
    "loop_infinitetalk": run_loop,
    "loop_multitalk": run_loop,
}
"""Kinds of cases of the whole loop."""

GIVEN = {
    "out_w*_motion_noise": "the draws are given to the run; InfiniteTalk never uses them",
    "out_w*_step*_noise": "the draws are given to the run",
    "out_audio_pad_*": "the reference's mirrored tail is given to the run; the pack encodes real silence "
    "instead",
}
"""What is not compared, and why."""
