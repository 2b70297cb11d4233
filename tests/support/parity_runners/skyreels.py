"""Golden cases of SkyReels-V3's talking avatar, through the pack's mode, window plan, loop and host.

Given to the run from the golden: noise, the picture, and how the reference continues the sound; of the
reference's numbers, how many frames a window lets go.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.windows import skyreels
from evertalk_pack.multitalk.windows.colour import match_colour
from evertalk_pack.multitalk.windows.ending import Ending
from evertalk_pack.multitalk.windows.loop import RunSpec, WindowVoices, generate, no_ending
from evertalk_pack.multitalk.windows.modes import MODES
from evertalk_pack.multitalk.windows.plan import FIRST_CLIP, Window
from evertalk_pack.multitalk.windows.settings import SKYREELS_SAMPLER, WindowSettings
from evertalk_pack.multitalk.windows.voices import window_of_frames
from evertalk_pack.wanvideo.schedule import sigmas_of
from parity_case import Case, Runner, use_comfyui
from torch import nn

from .loop import ObservedBackend, Recorder, even_timesteps, frame_of, host_models

COLOUR_STRENGTH = 1.0
"""The reference has no other; a case may say one."""


def run_skyreels(case: Case) -> Mapping[str, torch.Tensor]:
    """The first clip, then all windows, each ending on a still of it; a short sound is the clip alone."""
    use_comfyui()
    from evertalk_pack.nodes.host.sampling.comfy_backend import SamplingSettings

    run, track_NLC = case.config["run"], case.inputs["in_audio_emb_1"]
    timesteps, heard = even_timesteps(run), len(track_NLC)
    settings = SamplingSettings(sigmas_of(timesteps), SKYREELS_SAMPLER, GuidanceSettings(), run["seed"])
    form = WindowSettings(run["frame_num"], run["motion_frame"])
    windows = skyreels.plan_windows(heard, form, run["drop_frame"])
    clip = skyreels.first_clip_of(windows, heard)
    outputs: dict[str, torch.Tensor] = {"out_timesteps": timesteps}
    if clip is None:
        alone = replace(windows[0], index=FIRST_CLIP)
        Stage(case, (alone,), track_NLC, settings, outputs).play("in_context")
        outputs["out_video_index"] = torch.tensor([(0, frame) for frame in range(heard)])
        return outputs
    end = windows[-1].start + windows[-1].frames
    track_NLC = torch.cat((track_NLC, track_NLC.flip(0)[: end - heard]))
    clip_FHWC = Stage(case, (clip.window,), track_NLC, settings, outputs).play("in_context")
    stills = skyreels.stills_of(clip, clip_FHWC.__getitem__)
    Stage(case, windows, track_NLC, settings, outputs).play("in_context_connection", stills)
    index = [(one.index, frame) for one in windows for frame in range(one.motion, one.motion + one.new)]
    outputs["out_anchor_index"] = torch.tensor(clip.anchors)
    outputs["out_video_index"] = torch.tensor(index)
    return outputs


def name_of(window: Window) -> str:
    """What the outputs of a window begin with."""
    return "out_s1" if window.index == FIRST_CLIP else f"out_w{window.index}"


@dataclass(frozen=True)
class Stage:
    """One of the case's two stages, through the pack's loop and the host."""

    case: Case
    windows: tuple[Window, ...]
    track_NLC: torch.Tensor
    settings: Any
    outputs: dict[str, torch.Tensor]

    def play(self, prompt: str, ending: Callable[[Window], Ending | None] = no_ending) -> torch.Tensor:
        """The frames of the last window."""
        from comfy.clip_vision import Output
        from evertalk_pack.nodes.host.model.backend import backend_for
        from evertalk_pack.nodes.host.report.progress import RunProgress
        from evertalk_pack.nodes.host.sampling.comfy_backend import ComfyBackend, RunModels

        recorder = Recorder(1)
        model, vae = host_models(self.case, recorder)
        seen: Any = Output()
        seen.penultimate_hidden_states = self.case.inputs["in_clip_fea"]
        text = self.case.inputs[prompt]
        padded = nn.functional.pad(text, (0, 0, 0, self.case.config["model"]["text_len"] - len(text)))[None]
        steps = len(self.settings.sigmas) - 1
        backend = ComfyBackend(
            RunModels(model, vae, lambda _window: [[padded, {}]], None, lambda _frame: seen),
            self.settings,
            backend_for(model, "sdpa"),
            RunProgress(model, len(self.windows), steps, makes_clip=True),
        )
        observed = ObservedBackend(backend, recorder, self.outputs, name_of)
        spec = self.spec(ending)
        made_FHWC = torch.empty(0)
        for finished in generate(replace(spec, finish=observed.finishing(spec.finish)), observed):
            made_FHWC = finished.made_FHWC
            recorder.steps.clear()
        return made_FHWC

    def spec(self, ending: Callable[[Window], Ending | None]) -> RunSpec:
        """The run as the golden describes it."""
        run, outputs = self.case.config["run"], self.case.outputs
        strength = run.get("cc", COLOUR_STRENGTH)
        still = frame_of(outputs["out_s1_clip_input"])

        def noise(window: Window) -> Callable[[tuple[int, ...]], torch.Tensor]:
            name = name_of(window)
            draws: Iterator[torch.Tensor] = iter(
                (outputs[f"{name}_noise"], *outputs.get(f"{name}_motion_noise", ()))
            )
            return lambda shape: next(draws).reshape(shape)

        def voices(window: Window) -> WindowVoices:
            return WindowVoices(window_of_frames(self.track_NLC, window.start, window.frames)[None])

        return RunSpec(
            windows=self.windows,
            mode=MODES["skyreels"](),
            height_px=run["target"][0],
            width_px=run["target"][1],
            reference=lambda _window: still,
            voices=voices,
            finish=lambda _window, frames_FHWC: match_colour(frames_FHWC, still, strength),
            noise=noise,
            ending=ending,
        )


RUNNERS: dict[str, Runner] = {"loop_skyreels": run_skyreels}
"""Kinds of cases of SkyReels-V3's loop."""
