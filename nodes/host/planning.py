"""The plan of a run, made once although the host asks twice: before weights load, and when the node runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .preflight import look_ahead
from .request import OutputForm, SamplerWidgets, plan_run
from .run import RunPlan
from .run_options import RunOptions
from .video_file import run_place


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A plan, and what was found when looking ahead.

    Attributes:
        plan: what the run was asked to do, checked.
        outlook: sentences for its manifest; empty before weights are asked for.
    """

    plan: RunPlan
    outlook: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Asked:
    """All that a plan is made of.

    Attributes:
        widgets: the sampler's widgets.
        audio_embeds: the speech.
        start_image: the picture.
        options: the optional sockets.
        has_negative: whether a negative prompt is connected.
    """

    widgets: SamplerWidgets
    audio_embeds: object
    start_image: object
    options: RunOptions
    has_negative: bool

    def is_same(self, other: "Asked") -> bool:
        """Whether another asks the same with the very same objects."""
        return (
            (self.widgets, self.has_negative) == (other.widgets, other.has_negative)
            and self.audio_embeds is other.audio_embeds
            and self.start_image is other.start_image
            and self.options.is_same(other.options)
        )


class Planner:
    """Plans runs; remembers the last plan until it is taken, and no longer: it holds pictures."""

    def __init__(self) -> None:
        self._last: tuple[Asked, PlannedRun] | None = None

    def plan(self, asked: Asked) -> RunPlan:
        """Check everything that can be checked without weights.

        Raises:
            InputError: see plan_run.
        """
        return self._planned(asked).plan

    def look_ahead(self, asked: Asked) -> None:
        """Plan, and show what the run will need.

        Raises:
            InputError: see plan_run; or the disk cannot hold the run.
        """
        planned = self._planned(asked)
        if not planned.outlook and asked.widgets.form is OutputForm.VIDEO:
            plan, widgets = planned.plan, asked.widgets
            place = run_place(widgets.filename_prefix, plan.size.width_px, plan.size.height_px)
            outlook = look_ahead(plan, place, widgets.pause_after, widgets.written_as)
            self._last = (asked, PlannedRun(plan, outlook))

    def take(self, asked: Asked) -> PlannedRun:
        """The plan to run, looked ahead; it is forgotten here."""
        self.look_ahead(asked)
        planned, self._last = self._planned(asked), None
        return planned

    def _planned(self, asked: Asked) -> PlannedRun:
        if self._last is None or not self._last[0].is_same(asked):
            self._last = None
            plan = plan_run(
                asked.widgets,
                asked.audio_embeds,
                asked.start_image,
                asked.options,
                has_negative=asked.has_negative,
            )
            self._last = (asked, PlannedRun(plan))
        return self._last[1]


PLANNER = Planner()
"""Of this server: it runs one node at a time."""
