"""What a run was, for programs: the `ui` of sampler and decode, in /history as `outputs.<node>.evertalk`."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io, ui

from ....attention.plain_text import name_of_dtype
from ....multitalk.common.types import FPS
from ....multitalk.windows.report import frames_a_second
from ..compat.precision import computed_in
from ..compat.precision import precision_of as held_precision
from ..model.patcher import attachment_of
from ..parallel.choice import gpus_of
from ..report.budget_report import BudgetReport
from ..report.events import ShownFile
from ..report.peaks import peak_ram_bytes, peak_vram_bytes, reset_peaks
from ..report.record import RunRecord, recording
from ..sampling.comfy_backend import RunModels
from .plan import RunPlan

UI_KEY = "evertalk"
Shown: TypeAlias = ui.PreviewVideo | dict[str, Any]


@dataclass(frozen=True, slots=True)
class AttentionSummary:
    """The attention backend: what was asked for and what ran; empty if nothing was sampled.

    Attributes:
        asked: the name that was chosen.
        ran: what ran in self-attention.
        elsewhere: what ran for text, picture and audio.
        budget: what sparse self-attention did; None where there was none.
    """

    asked: str
    ran: str
    elsewhere: str
    budget: BudgetReport | None = None


@dataclass(frozen=True, slots=True)
class Compute:
    """The precision that is computed in: what was asked for and what ran."""

    asked: str
    ran: str


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A finished run.

    Attributes:
        path: the video on the server's disk; empty for raw latents.
        file: the same as the query of /view, or None outside of the output folder.
        frames: of the video.
        seconds: of the video.
        width: in pixels.
        height: in pixels.
        windows: of the whole run.
        finished_windows: how many of them are in the video; fewer in a run that paused.
        frames_a_second: that a full window behind the first adds for each second it takes; None without one.
        is_live: whether that is as fast as the video plays; None where it is not known.
        attention: asked for and ran.
        precision: how the weights are held and in what they are computed.
        compute: the precision that is computed in: asked for and ran.
        peak_vram_bytes: the most that PyTorch's tensors took on the GPU; 0 without one.
        peak_ram_bytes: the most that the server's process held.
        warnings: what else ran than what was asked for, a sentence each.
        run_folder: where the run's windows are kept; empty for raw latents.
        gpus: how many worked on each window together.
        kept: what the run did not encode again, because it was kept from before.
    """

    path: str
    file: ShownFile | None
    frames: int
    seconds: float
    width: int
    height: int
    windows: int
    finished_windows: int
    frames_a_second: float | None
    is_live: bool | None
    attention: AttentionSummary
    precision: str
    compute: Compute
    peak_vram_bytes: int
    peak_ram_bytes: int
    warnings: tuple[str, ...]
    run_folder: str
    gpus: int = 1
    kept: tuple[str, ...] = ()


def with_summary(plan: RunPlan, run_models: RunModels, make: Callable[[], dict[str, Any]]) -> io.NodeOutput:
    """Make the LATENT dict of a run and put its summary beside it."""
    reset_peaks()
    with recording() as record:
        latent = make()
    entry = asdict(summary_of(plan, run_models, latent, record))
    return io.NodeOutput({**latent, UI_KEY: entry}, ui={UI_KEY: [entry]})


def ui_of(samples: Any, preview: Shown) -> Shown:
    """The `ui` of the node that shows a run's video: its summary too.

    The host answers a workflow that it has run before without a word about the nodes in its middle, but
    with the `ui` of those at its ends.
    """
    if not isinstance(samples, dict) or UI_KEY not in samples:
        return preview
    shown = preview if isinstance(preview, dict) else preview.as_dict()
    return {**shown, UI_KEY: [samples[UI_KEY]]}


def summary_of(plan: RunPlan, run_models: RunModels, latent: dict[str, Any], record: RunRecord) -> RunSummary:
    """The summary of a run that gave a LATENT dict."""
    path = str(latent["output_path"]) if "output_path" in latent else ""
    frames = latent["video"]["frames"] if path else plan.embeds.video_frames
    pace = (
        frames_a_second(plan.windows, [window["seconds"] for window in latent["windows"]]) if path else None
    )
    return RunSummary(
        path=path,
        file=ShownFile.of(Path(path)) if path else None,
        frames=frames,
        seconds=latent["video"]["seconds"] if path else frames / FPS,
        width=plan.video_size.width_px,
        height=plan.video_size.height_px,
        windows=len(plan.windows),
        finished_windows=len(latent["windows"]) if path else len(plan.windows),
        frames_a_second=None if pace is None else round(pace, 2),
        is_live=None if pace is None else pace >= FPS,
        attention=AttentionSummary(
            attachment_of(run_models.model).attention_mode,
            record.attention,
            record.attention_elsewhere,
            record.budget,
        ),
        precision=precision_of(run_models.model),
        compute=Compute(
            attachment_of(run_models.model).compute, name_of_dtype(computed_in(run_models.model))
        ),
        peak_vram_bytes=peak_vram_bytes(),
        peak_ram_bytes=peak_ram_bytes(),
        warnings=tuple(record.warnings),
        run_folder=str(latent["run_folder"]) if path else "",
        gpus=gpus_of(run_models.model),
        kept=tuple(record.kept),
    )


def precision_of(model: ModelPatcher) -> str:
    """How a model's weights are held and in what they are computed."""
    held = held_precision(model.model.diffusion_model.blocks[0].self_attn.q)
    names = [name_of_dtype(dtype) for dtype in (held, computed_in(model))]
    return f"weights {names[0]}, computed in {names[1]}"
