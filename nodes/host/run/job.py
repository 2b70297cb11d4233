"""The job that a node belongs to: what was queued, what came with it, and where its video goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....multitalk.media.output_format import MP4_H264, OutputFormat
from ....multitalk.runs.folder import RunPlace
from ....multitalk.runs.identity import Resume
from ..report.widget_values import WidgetValues
from .metadata import check_metadata, run_metadata
from .plan import RunPlan
from .preflight import PREFLIGHTS, PreflightFigures
from .request import OutputForm, SamplerWidgets
from .video_file import check_prefix, run_place


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Where the video goes, and what is done with windows that are finished.

    Attributes:
        place: where the files go.
        resume: what to do with finished windows.
        metadata: written into the video.
        pause_after: pause after every so many windows; 0 for never.
        output: the form in which the video is written.
        preflight: for the manifest, what was found before weights loaded; None where nothing is sampled.
        notes: what of the metadata is not as it came, a sentence each.
    """

    place: RunPlace
    resume: Resume
    metadata: Mapping[str, str]
    pause_after: int = 0
    output: OutputFormat = MP4_H264
    preflight: PreflightFigures | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A queued job.

    Attributes:
        prompt: the queued prompt; None outside of a job.
        extra_pnginfo: what a client sent to be written into files; may be anything.
        node_id: of the node that runs.
    """

    prompt: Any
    extra_pnginfo: Any
    node_id: str

    @classmethod
    def of(cls, hidden: Any) -> "Job":
        """The job in a node's hidden inputs; an empty one outside of a job."""
        values = [getattr(hidden, name, None) for name in ("prompt", "extra_pnginfo", "unique_id")]
        return cls(values[0], values[1], str(values[2]))

    @property
    def widget_values(self) -> WidgetValues:
        """The values that a prefix may name."""
        return WidgetValues(self.prompt, self.extra_pnginfo, self.node_id)

    def check(self, widgets: SamplerWidgets) -> None:
        """Refuse what could not be written when the run has ended.

        Raises:
            InputError: the prefix is not a file name, or what a client sent cannot be written into a file.
        """
        if widgets.form is OutputForm.VIDEO:
            check_prefix(widgets.filename_prefix, self.widget_values)
            check_metadata(self.extra_pnginfo)

    def output_options(self, plan: RunPlan, widgets: SamplerWidgets) -> OutputOptions:
        """What becomes of the job's video.

        Raises:
            InputError: the disk cannot hold it.
            RunStoreError: the output folder does not answer.
        """
        metadata = run_metadata(self.prompt, self.extra_pnginfo)
        size = plan.video_size
        return OutputOptions(
            place=run_place(widgets.filename_prefix, size.width_px, size.height_px, self.widget_values),
            resume=Resume(widgets.resume),
            metadata=metadata.texts,
            pause_after=widgets.pause_after,
            output=widgets.written_as,
            preflight=PREFLIGHTS.take(plan, widgets),
            notes=metadata.notes,
        )
