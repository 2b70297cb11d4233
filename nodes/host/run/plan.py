"""The plan of a run, made once although the host asks twice: before weights load, and when the node runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ....multitalk.runs.identity import Resume
from .options import RunOptions
from .preflight import run_preflight
from .request import OutputForm, SamplerWidgets, plan_run
from .video_file import run_place
from .windowed_run import RunPlan


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan, and what was found when looking ahead.

    Attributes:
        plan: what the run was asked to do, checked.
        preflight_figures: sentences for its manifest; empty before weights are asked for.
    """

    plan: RunPlan
    preflight_figures: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class PlanInputs:
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

    def is_same(self, other: "PlanInputs") -> bool:
        """Whether another asks the same with the same objects."""
        return (
            (self.widgets, self.has_negative) == (other.widgets, other.has_negative)
            and self.audio_embeds is other.audio_embeds
            and self.start_image is other.start_image
            and self.options.is_same(other.options)
        )


class Planner:
    """Plans runs; remembers the last plan until it is taken, and no longer: it holds pictures."""

    def __init__(self) -> None:
        self._last: tuple[PlanInputs, PlanResult] | None = None

    def plan(self, asked: PlanInputs) -> RunPlan:
        """Check everything that can be checked without weights.

        Raises:
            InputError: see plan_run.
        """
        return self._planned(asked).plan

    def run_preflight(self, asked: PlanInputs) -> None:
        """Plan, and show what the run will need.

        Raises:
            InputError: see plan_run; or the disk cannot hold the run.
        """
        planned = self._planned(asked)
        widgets = asked.widgets
        samples = Resume(widgets.resume) is not Resume.ONLY_FINISHED
        if not planned.preflight_figures and samples and widgets.form is OutputForm.VIDEO:
            plan = planned.plan
            place = run_place(widgets.filename_prefix, plan.video_size.width_px, plan.video_size.height_px)
            preflight_figures = run_preflight(plan, place, widgets)
            self._last = (asked, PlanResult(plan, preflight_figures))

    def take(self, asked: PlanInputs) -> PlanResult:
        """The plan to run, looked ahead; it is forgotten here."""
        self.run_preflight(asked)
        planned, self._last = self._planned(asked), None
        return planned

    def _planned(self, asked: PlanInputs) -> PlanResult:
        if self._last is None or not self._last[0].is_same(asked):
            self._last = None
            plan = plan_run(
                asked.widgets,
                asked.audio_embeds,
                asked.start_image,
                asked.options,
                has_negative=asked.has_negative,
            )
            self._last = (asked, PlanResult(plan))
        return self._last[1]


PLANNER = Planner()
"""Of this server: it runs one node at a time."""
