"""Golden cases of SkyReels-V3's talking avatar, composed of the pack's parts: it has no such mode.

A first clip gives a still for the end of each window; windows keep their first frames as MultiTalk's do, end
on that still, and all but the last lose their last frames before colours are matched. Conditions, pins,
masks, endings, colours and the window loop are the pack's; which still, which frames are dropped and how the
sound is continued are the reference's, and stand here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from evertalk_pack.multitalk.model.guidance import GuidanceSettings
from evertalk_pack.multitalk.windows.colour import match_colour
from evertalk_pack.multitalk.windows.ending import STILL_FRAMES, Ending
from evertalk_pack.multitalk.windows.loop import FinishedWindow, RunSpec, WindowVoices, generate
from evertalk_pack.multitalk.windows.modes import Encode, MultiTalkMode, WindowCondition, WindowInputs
from evertalk_pack.multitalk.windows.plan import Window
from evertalk_pack.multitalk.windows.voices import window_of_frames
from evertalk_pack.wanvideo.schedule import sigmas_of
from parity_case import Case, Runner, use_comfyui
from torch import nn

from .loop import ObservedBackend, Recorder, even_timesteps, frame_of, host_models

COLOUR_STRENGTH = 1.0


class SkyReelsMode(MultiTalkMode):
    """MultiTalk's windows, of which CLIP sees the first motion frame instead of the last."""

    sees_reference: ClassVar[bool] = False

    def condition(self, known: WindowInputs, encode: Encode) -> WindowCondition:
        made = super().condition(known, encode)
        return (
            made if known.motion_FHWC is None else replace(made, clip_frame_HWC=known.motion_FHWC[0].clone())
        )


@dataclass(frozen=True)
class Film:
    """What a case says of its run, counted in video frames."""

    frames: int
    motion: int
    dropped: int
    heard: int
    windows: int

    @classmethod
    def of(cls, case: Case) -> "Film":
        run = case.config["run"]
        new = run["frame_num"] - run["motion_frame"] - run["drop_frame"]
        heard = len(case.inputs["in_audio_emb_1"])
        later = max(0, -(-(heard - run["frame_num"]) // new))
        return cls(run["frame_num"], run["motion_frame"], run["drop_frame"], heard, later + 1)

    @property
    def advance(self) -> int:
        return self.frames - self.motion - self.dropped

    @property
    def length(self) -> int:
        """Frames of all windows together, behind the end of the sound too."""
        return self.frames + (self.windows - 1) * self.advance

    def planned(self) -> tuple[Window, ...]:
        return tuple(
            Window(
                index,
                index * self.advance,
                self.frames,
                self.motion if index else 0,
                (self.motion if not index else 0)
                + (self.advance if index + 1 < self.windows else self.advance + self.dropped),
            )
            for index in range(self.windows)
        )

    def anchor(self, window: Window) -> int:
        """The frame of the first clip that a window ends on: the clip is stretched over the whole film."""
        last = self.frames - 1
        return round((last + window.index * self.advance) * last / (self.length - 1))


def run_skyreels(case: Case) -> Mapping[str, torch.Tensor]:
    """The first clip, then all windows, each ending on a still of it."""
    use_comfyui()
    from evertalk_pack.nodes.host.sampling.comfy_backend import SamplingSettings

    run, film = case.config["run"], Film.of(case)
    timesteps = even_timesteps(run)
    settings = SamplingSettings(sigmas_of(timesteps), "euler", GuidanceSettings(), run["seed"])
    track_NLC = case.inputs["in_audio_emb_1"]
    if film.heard >= film.frames:  # a shorter sound is not continued
        track_NLC = torch.cat((track_NLC, track_NLC.flip(0)[: film.length - film.heard]))
    outputs: dict[str, torch.Tensor] = {"out_timesteps": timesteps}
    stage = Stage(case, film, track_NLC, settings, outputs)
    (clip,) = stage.play((Window(0, 0, film.frames, 0, film.frames),), "in_context", "out_s1")
    if film.heard < film.frames:
        return outputs
    windows = film.planned()
    anchors = [film.anchor(window) for window in windows]

    def ending(window: Window) -> Ending:
        return Ending(clip.made_FHWC[anchors[window.index]], STILL_FRAMES)

    stage.play(windows, "in_context_connection", "out_w", ending)
    index = [(one.index, frame) for one in windows for frame in range(one.motion, one.motion + one.new)]
    outputs["out_anchor_index"] = torch.tensor(anchors)
    outputs["out_video_index"] = torch.tensor(index[: film.heard])
    return outputs


@dataclass(frozen=True)
class Stage:
    """One of the case's two stages, through the pack's loop and the host."""

    case: Case
    film: Film
    track_NLC: torch.Tensor
    settings: Any
    outputs: dict[str, torch.Tensor]

    def play(
        self,
        windows: tuple[Window, ...],
        prompt: str,
        prefix: str,
        ending: Callable[[Window], Ending | None] = lambda _window: None,
    ) -> list[FinishedWindow]:
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
            RunProgress(model, len(windows), steps),
        )
        observed = ObservedBackend(backend, recorder, self.outputs, lambda window: self.name(prefix, window))
        spec = self.spec(windows, prefix, ending)
        made: list[FinishedWindow] = []
        for finished in generate(replace(spec, finish=observed.finishing(spec.finish)), observed):
            made.append(finished)
            recorder.steps.clear()
        return made

    @staticmethod
    def name(prefix: str, window: Window) -> str:
        """What the outputs of a window begin with: the first clip is but one."""
        return f"{prefix}{window.index}" if prefix.endswith("w") else prefix

    def spec(
        self, windows: tuple[Window, ...], prefix: str, ending: Callable[[Window], Ending | None]
    ) -> RunSpec:
        run, outputs = self.case.config["run"], self.case.outputs
        still = frame_of(outputs["out_s1_clip_input"])

        def noise(window: Window) -> Callable[[tuple[int, ...]], torch.Tensor]:
            name = self.name(prefix, window)
            draws: Iterator[torch.Tensor] = iter(
                (outputs[f"{name}_noise"], *outputs.get(f"{name}_motion_noise", ()))
            )
            return lambda shape: next(draws).reshape(shape)

        def finish(window: Window, frames_FHWC: torch.Tensor) -> torch.Tensor:
            kept = self.film.frames if window is windows[-1] else self.film.frames - self.film.dropped
            return match_colour(frames_FHWC[:kept], still, COLOUR_STRENGTH)

        def voices(window: Window) -> WindowVoices:
            return WindowVoices(window_of_frames(self.track_NLC, window.start, window.frames)[None])

        return RunSpec(
            windows=windows,
            mode=SkyReelsMode(),
            height_px=run["target"][0],
            width_px=run["target"][1],
            reference=lambda _window: still,
            voices=voices,
            finish=finish,
            noise=noise,
            ending=ending,
        )


RUNNERS: dict[str, Runner] = {"loop_skyreels": run_skyreels}
"""Kinds of cases of SkyReels-V3's loop."""
