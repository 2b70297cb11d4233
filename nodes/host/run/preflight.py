"""Looks ahead before weights load: what the run will need, and whether it is there."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import comfy.model_management
import folder_paths
import torch
from comfy_execution.graph import DynamicPrompt
from comfy_execution.graph_utils import is_link
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context

from ....multitalk.common.fingerprint import fingerprint
from ....multitalk.media.output_format import OutputFormat
from ....multitalk.runs.folder import RunPlace
from ....multitalk.runs.history import RunMarks, past_of
from ....multitalk.runs.identity import Resume
from ....multitalk.runs.preflight import (
    Machine,
    RunNeeds,
    RunShape,
    check_disk,
    describe_estimate,
    estimate_run,
    offload_warnings,
)
from ....wanvideo.model_folder import known_by
from ..model.folders import folder_at
from ..report.progress import show_on_node
from .plan import RunPlan
from .request import OutputForm, SamplerWidgets
from .run_identity import source_settings
from .video_file import run_place

MODEL_INPUT = "model"
WEIGHT_FOLDERS = ("diffusion_models", "model_patches", "checkpoints", "unet_gguf")
"""The host's folders whose files stay in VRAM while sampling; LoRA are added into those."""


@dataclass(frozen=True, slots=True)
class PreflightFigures:
    """What was found before weights loaded.

    Attributes:
        line: what was shown.
        marks: what later runs compare themselves by.
    """

    line: str
    marks: RunMarks

    @property
    def settings(self) -> dict[str, str]:
        """For the run's manifest."""
        return {"preflight": self.line, **self.marks.settings()}


class Preflights:
    """Shows what a run will need, once, whether or not weights have to be asked for first."""

    def __init__(self) -> None:
        self._last: tuple[RunPlan, PreflightFigures] | None = None

    def show(self, plan: RunPlan, widgets: SamplerWidgets) -> PreflightFigures | None:
        """The figures of a run that samples and keeps its windows; shown when they are first asked for.

        Raises:
            InputError: the disk cannot hold the run.
        """
        if Resume(widgets.resume) is Resume.ONLY_FINISHED or widgets.form is not OutputForm.VIDEO:
            return None
        if self._last is None or self._last[0] is not plan:
            self._last = None
            self._last = (plan, run_preflight(plan, widgets))
        return self._last[1]

    def take(self, plan: RunPlan, widgets: SamplerWidgets) -> PreflightFigures | None:
        """As show; what is remembered of the run, its pictures among it, is forgotten here."""
        figures, self._last = self.show(plan, widgets), None
        return figures


PREFLIGHTS = Preflights()
"""Of this server: it runs one node at a time."""


def run_preflight(plan: RunPlan, widgets: SamplerWidgets) -> PreflightFigures:
    """Show what a run will need; the same for its manifest, with what later runs compare themselves by.

    Raises:
        InputError: the disk cannot hold it.
    """
    video = plan.video_size
    place = run_place(widgets.filename_prefix, video.width_px, video.height_px)
    nodes, output = list(model_nodes()), widgets.written_as
    machine = this_machine(place)
    marks = marks_of(plan, nodes, machine.device, output)
    past, finished = past_of(place, marks)
    if Resume(widgets.resume) is Resume.RESTART:
        finished = 0
    clip = plan.first_clip
    shape = RunShape(
        windows=len(plan.windows),
        frames=plan.embeds.video_frames,
        window_frames=max(window.frames for window in plan.windows),
        motion_frames=max(window.motion for window in plan.windows),
        size=plan.size,
        windows_left=max(0, len(plan.windows) - finished),
        review=widgets.pause_after,
        clips=0 if clip is None or finished else 1,
        stills=0 if clip is None else len(clip.wanted),
        file_frames=0 if plan.paste is None else len(plan.paste.shown.stamps),
    )
    guessed = video.height_px * video.width_px * output.bytes_per_pixel
    estimate = estimate_run(shape, sum(weight_files(nodes).values()), past, guessed)
    check_disk(estimate, machine)
    return PreflightFigures(shown(estimate, machine), marks)


def shown(estimate: RunNeeds, machine: Machine) -> str:
    """The estimate as a line, shown on the node, warnings first since the last text stays."""
    for warning in offload_warnings(estimate, machine):
        show_on_node(warning)
    line = describe_estimate(estimate, machine)
    show_on_node(line)
    return line


def this_machine(place: RunPlace) -> Machine:
    """The GPU that will sample and the disk of the run's folder."""
    device = comfy.model_management.get_torch_device()
    folder = place.run.folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    if comfy.model_management.is_device_cpu(device):
        return Machine("", 0, str(folder), free_bytes)
    total = cast("int", comfy.model_management.get_total_memory(device))  # a pair only if asked for
    usable = total - comfy.model_management.extra_reserved_memory()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return Machine(name, usable, str(folder), free_bytes)


def marks_of(plan: RunPlan, nodes: list[dict[str, Any]], device: str, output: OutputFormat) -> RunMarks:
    """What this run and others are compared by."""
    size = f"{plan.size.width_px}x{plan.size.height_px}"
    loaders = fingerprint([literals(node) for node in nodes], weight_files(nodes))
    steps, scales = plan.schedule, plan.guidance
    pace = (
        f"{device or 'cpu'}, {size}, {plan.windows[0].frames} frames, {steps.steps} steps {steps.sampler}, "
        f"text {scales.text_scale:g}, audio {scales.audio_scale:g}, {len(plan.embeds.tracks_NLC)} voices, "
        f"model {loaders}"
    )
    embeds = plan.embeds
    heard = embeds.tracks_NLC if embeds.marks is None else embeds.marks
    asked = (plan.windows, plan.size, steps, scales, plan.seed, plan.window_seeds, plan.look)
    pictures = plan.picture_HWC if plan.end_HWC is None else (plan.picture_HWC, plan.end_HWC)
    source = () if plan.source is None else source_settings(plan.source)
    request = fingerprint(asked, pictures, heard, embeds.video_frames, loaders, output.name, *source)
    video = plan.video_size
    return RunMarks(pace, f"{video.width_px}x{video.height_px}, {output.name}", request)


def weight_files(nodes: list[dict[str, Any]]) -> dict[str, int]:
    """The files of weights that loaders name, and their sizes in bytes."""
    names = {value for node in nodes for value in literals(node).values() if isinstance(value, str)}
    found: dict[str, int] = {}
    for name in sorted(names):
        for kind in WEIGHT_FOLDERS:
            if not name or kind not in folder_paths.folder_names_and_paths:
                continue
            file, folder = folder_paths.get_full_path(kind, name), folder_at(kind, name)
            if file is not None and Path(file).is_file():
                found[name] = Path(file).stat().st_size
            elif folder is not None:
                found[name] = sum(one.stat().st_size for one in known_by(folder))
    return found


def literals(node: dict[str, Any]) -> dict[str, Any]:
    """What is set on a node itself."""
    return {name: value for name, value in node["inputs"].items() if not is_link(value)}


def model_nodes() -> Iterator[dict[str, Any]]:
    """The nodes of the running prompt that the sampler's model comes from; none outside of a run."""
    context, progress = get_executing_context(), get_progress_state()
    if context is None or context.prompt_id != progress.prompt_id:
        return
    prompt: DynamicPrompt = progress.dynprompt
    waiting = [prompt.get_node(context.node_id)["inputs"].get(MODEL_INPUT)]
    seen: set[str] = set()
    while waiting:
        link = waiting.pop()
        if not is_link(link) or link[0] in seen or not prompt.has_node(link[0]):
            continue
        seen.add(link[0])
        node = prompt.get_node(link[0])
        yield node
        waiting += node["inputs"].values()
