"""A run is checked and planned once, by values that the nodes hand over and nothing else."""

from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.speech.embeds import AudioEmbeds
from evertalk_pack.multitalk.windows.camera import CameraMove
from evertalk_pack.multitalk.windows.finish import LookSettings
from evertalk_pack.multitalk.windows.prompt_timeline import Keyframe, PromptTimeline
from source_clips import at_fps, grey, write_clip
from tiny_host import SIDE_PX, picture, widgets
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from evertalk_pack.nodes.host.run.plan import PlanInputs

pytestmark = pytest.mark.host

FRAMES = 17
OPEN_FILES = Path("/proc/self/fd")


class LooksAtPixels(TorchFunctionMode):
    """Counts how often all values of a picture of one size are looked through for NaN."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.isfinite and tuple(args[0].shape) == self.shape:
            self.count += 1
        return func(*args, **(kwargs or {}))


def spoken() -> AudioEmbeds:
    tracks = (torch.zeros(FRAMES + TAIL_FRAMES, 1, 8),)
    return AudioEmbeds(tracks, FRAMES, Waveform(torch.zeros(1, 640 * FRAMES), 16000))


def asked(
    start_image: torch.Tensor | None, speech: object = None, options: Any = None, **changed: Any
) -> "PlanInputs":
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import PlanInputs
    from evertalk_pack.nodes.host.run.request import SamplerWidgets

    return PlanInputs(SamplerWidgets.of(widgets(**changed)), speech, start_image, options or RunOptions())


def test_every_field_of_a_plan_says_what_it_shapes() -> None:
    from evertalk_pack.nodes.host.run.plan import SHAPES, RunPlan, Shapes

    assert [one.name for one in fields(RunPlan) if not isinstance(one.metadata.get(SHAPES), Shapes)] == []


def test_names_that_enter_the_keys_of_windows_stay_as_they_are() -> None:
    from evertalk_pack.nodes.host.run.plan import plan_run

    plan = plan_run(asked(picture(), spoken()))
    # A renamed field changes the keys of all windows: with another name here, raise RESULT_VERSION.
    assert sorted(plan.of_every_window) == ["guidance", "look", "picture_HWC", "schedule", "seed", "size"]
    assert plan.of_every_window["picture_HWC"] is plan.picture_HWC


@pytest.mark.parametrize("size", ["custom", "480p"])
def test_pixels_of_the_start_picture_are_looked_through_once_a_run(size: str) -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import Planner

    image, speech, planner = picture(48, 80), spoken(), Planner()
    later = RunOptions(schedule=PromptTimeline())
    with LooksAtPixels((48, 80, 3)) as looks:
        planner.check(asked(image, size=size))
        planner.plan(asked(image, speech, size=size))
        planner.plan(asked(image, speech, later, size=size))
        planner.take(asked(image, speech, later, size=size))
    assert looks.count == 1


@pytest.mark.parametrize("zoom", [1.0, 1.2])
def test_a_scheduled_picture_that_holds_nan_is_refused_by_the_schedule_s_name(zoom: float) -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import plan_run

    broken = torch.full((48, 80, 3), float("nan"))
    options = RunOptions(
        schedule=PromptTimeline(pictures=(Keyframe(0.0, broken),)),
        look=LookSettings(camera=CameraMove(zoom=zoom)),
    )
    with pytest.raises(InputError, match="schedule: the picture holds NaN"):
        plan_run(asked(picture(), spoken(), options))


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="this system does not list a process' open files there")
def test_a_clip_is_open_while_a_run_plays_it_and_not_while_it_is_planned(tmp_path: Path) -> None:
    from evertalk_pack.multitalk.dubbing.clip import DubSource
    from evertalk_pack.multitalk.dubbing.source import open_source
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import plan_run
    from evertalk_pack.nodes.host.run.windowed_run import clip_of

    pictures = [(time_s, pixels[:, :48].repeat(2, axis=1)) for time_s, pixels in at_fps(Fraction(25), 20)]
    clip = write_clip(tmp_path / "a.mp4", pictures)

    def is_open() -> bool:
        links = [link.readlink() for link in OPEN_FILES.iterdir() if link.is_symlink()]
        return clip.resolve() in links

    source = DubSource(open_source(clip))
    plan = plan_run(asked(picture(), spoken(), RunOptions(source=source)))
    assert plan.picture_changes, "each window has a frame of the clip"
    assert not is_open()
    with clip_of(plan) as dub:
        assert is_open()
        assert dub is not None
        assert torch.equal(dub.reference(plan.windows[0]), plan.picture_HWC)
    assert not is_open()


@pytest.mark.parametrize(
    ("times_s", "output", "told"),
    [
        ((0, 0.04, 0.5, 0.6), "png sequence", ["format: png sequence tells no times"]),
        ((0, 0.04, 0.5, 0.6), "mkv lossless (ffv1)", []),
        ((0, 0.04, 0.08, 0.12), "png sequence", []),
    ],
)
def test_pictures_of_a_clip_of_variable_rate_are_told_to_have_no_times(
    tmp_path: Path, times_s: tuple[float, ...], output: str, told: list[str]
) -> None:
    from evertalk_pack.multitalk.dubbing.clip import DubSource, worked_on
    from evertalk_pack.multitalk.dubbing.source import open_source
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import plan_run

    clip = open_source(write_clip(tmp_path / "a.mp4", [(time_s, grey(90)) for time_s in times_s]))
    source = worked_on(DubSource(clip), "25%,25%,50%,50%", 0.5, 4, is_region=True)
    plan = plan_run(asked(None, spoken(), RunOptions(source=source), format=output))
    assert [
        note[: len("format: png sequence tells no times")] for note in plan.notes if "no times" in note
    ] == told


def test_a_plan_is_made_once_and_forgotten_when_it_is_taken() -> None:
    from evertalk_pack.nodes.host.run.options import RunOptions
    from evertalk_pack.nodes.host.run.plan import Planner

    image, speech, planner = picture(), spoken(), Planner()
    first = planner.plan(asked(image, speech))
    assert planner.plan(asked(image, speech)) is first
    assert planner.plan(asked(image, speech, seed=2)) is not first
    look = RunOptions(look=LookSettings(colour_strength=0.5))
    assert planner.plan(asked(image, speech, look)).look.colour_strength == 0.5
    taken = planner.take(asked(image, speech, look))
    assert planner.plan(asked(image, speech, look)) is not taken


def test_inputs_that_are_refused_leave_no_older_plan_behind() -> None:
    from evertalk_pack.nodes.host.run.plan import Planner

    image, planner = picture(), Planner()
    planner.plan(asked(image, spoken()))
    broken = image.clone()
    broken[0, 0, 0, 0] = float("nan")
    for _ in range(2):
        with pytest.raises(InputError, match="start_image: the picture holds NaN"):
            planner.plan(asked(broken, spoken()))


def test_what_a_run_will_need_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import folder_paths
    from evertalk_pack.nodes.host.run.plan import plan_run
    from evertalk_pack.nodes.host.run.preflight import Preflights

    caplog.set_level("INFO")
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    preflights, inputs = Preflights(), asked(picture(), spoken())
    plan = plan_run(inputs)

    def shown() -> int:
        return sum(record.getMessage().startswith("preflight:") for record in caplog.records)

    figures = preflights.show(plan, inputs.widgets)
    assert figures is not None
    assert preflights.take(plan, inputs.widgets) is figures
    assert shown() == 1
    assert figures.settings["preflight"] == figures.line
    assert figures.settings["picture"] == f"{SIDE_PX}x{SIDE_PX}, mp4 (h264)"
    preflights.take(plan, inputs.widgets)
    assert shown() == 2, "the figures were taken"
    latent = asked(picture(), spoken(), output="latent", resume="only_finished").widgets
    assert preflights.show(plan, latent) is None
