"""The job that a node belongs to: what was queued, and what came with that."""

from dataclasses import dataclass
from typing import Any

from ..report.widget_values import WidgetValues
from .metadata import check_metadata
from .request import OutputForm, SamplerWidgets
from .video_file import check_prefix


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
