"""Noise levels of WanVideoWrapper's schedulers, by their formulas, beside those of the schedule that is made.

Formulas: wanvideo/schedulers of WanVideoWrapper, and FlowMatchEulerDiscreteScheduler, FlowMatchLCMScheduler
and DEISMultistepScheduler of diffusers 0.35, which it uses. A level is the share of noise, 1 to 0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from convert_server import read
from evertalk_pack.convert.conversion import Conversion, convert
from numpy.typing import NDArray

pytestmark = pytest.mark.host

Levels = NDArray[np.float64]
INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["a.png"]]}}, "output": ["IMAGE", "MASK"]},
    "LoadAudio": {"input": {"required": {"audio": [["a.wav"]]}}, "output": ["AUDIO"]},
}
NEAR = "which comes near, is used"
SHIFTS = (3.0, 5.0, 8.0, 11.0)
STEPS = (4, 6, 8, 10, 20, 40)
TRAINED = 1000


def shifted(levels: Levels | float, shift: float) -> Any:
    return shift * levels / (1 + (shift - 1) * levels)


def ended(levels: Levels) -> Levels:
    return np.append(levels, 0.0)


def of_euler(steps: int, shift: float) -> Levels:
    """The lowest of the shifted levels is the last one, and all are shifted again."""
    return ended(shifted(np.linspace(1, shifted(1 / TRAINED, shift), steps), shift))


def of_unipc(steps: int, shift: float) -> Levels:
    highest = shifted(1 - 1 / TRAINED, shift)
    return ended(shifted(np.linspace(highest, 0, steps + 1)[:-1], shift))


def of_deis(steps: int, shift: float) -> Levels:
    return ended(shifted(np.linspace(1 - 1 / TRAINED, 0, steps + 1)[:-1], shift))


def of_res(steps: int, shift: float) -> Levels:
    all_levels = np.linspace(1, 0.003 / 1.002, TRAINED)
    return ended(shifted(all_levels[[round(step * TRAINED / steps) for step in range(steps)]], shift))


def of_sa_ode(steps: int, shift: float) -> Levels:
    times = np.linspace(0, 1, steps + 1)
    return shifted(1 - times if steps <= 10 else (1 + np.cos(np.pi * times)) / 2, shift)


def of_distill(_steps: int, shift: float) -> Levels:
    return ended(shifted(np.array([0.999, 0.75, 0.5, 0.25]), shift))


def of_longcat(steps: int, shift: float) -> Levels:
    grid = np.arange(50, 0, -1) / 50
    return ended(shifted(grid[np.floor(np.linspace(0, 50, steps + 1)[:-1]).astype(int)], shift))


def of_euler_beta(steps: int, shift: float) -> Levels:
    """Drawn between the first and the last level, which are all that the shift acts on."""
    first, *_, last, _zero = of_euler(steps, shift)
    shares = scipy.stats.beta.ppf(1 - np.linspace(0, 1, steps), 0.6, 0.6)
    return ended(last + (first - last) * shares)


def chosen(scheduler: str, steps: int, shift: float) -> tuple[str, str, Conversion]:
    """Schedule and sampler of what is made of a workflow, and the conversion."""
    graph: dict[str, Any] = read("gguf.api")
    graph["128"]["inputs"] |= {"scheduler": scheduler, "steps": steps, "shift": shift}
    conversion = convert(graph, INFO)
    (sampler,) = [n["inputs"] for n in conversion.workflow.values() if n["class_type"] == "EverTalkSampler"]
    assert (sampler["steps"], sampler["shift"]) == (steps, shift)
    return sampler["scheduler"], sampler["sampler_name"], conversion


def hosts(schedule: str, steps: int, shift: float) -> Levels:
    """The noise levels with which EverTalk samples."""
    from comfy.model_sampling import ModelSamplingDiscreteFlow  # the host's
    from comfy.samplers import calculate_sigmas

    sampling = ModelSamplingDiscreteFlow()
    sampling.set_parameters(shift=shift, multiplier=TRAINED)
    return calculate_sigmas(sampling, schedule, steps).double().numpy()


def apart(wanted: Levels, schedule: str, steps: int, shift: float) -> float:
    """The largest difference of two lists of levels; 1 if one is longer."""
    got = hosts(schedule, steps, shift)
    return float(np.abs(wanted - got).max()) if len(wanted) == len(got) else 1.0


def is_told_as_near(conversion: Conversion) -> bool:
    return any(NEAR in remark.text for remark in conversion.remarks)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(
    ("scheduler", "formula", "schedule", "most"),
    [
        ("euler", of_euler, "normal", 1e-6),
        ("lcm", of_euler, "normal", 1e-6),
        ("unipc", of_unipc, "simple", 0.001),
        ("dpm++", of_unipc, "simple", 0.001),
        ("dpm++_sde", of_unipc, "simple", 0.001),
        ("deis", of_deis, "simple", 0.0015),
        ("res_multistep", of_res, "simple", 0.014),
        ("er_sde", of_res, "simple", 0.014),
    ],
)
def test_levels_are_those_of_the_wrapper(
    scheduler: str,
    formula: Callable[[int, float], Levels],
    schedule: str,
    most: float,
    steps: int,
    shift: float,
) -> None:
    name, _, conversion = chosen(scheduler, steps, shift)
    assert name == schedule
    assert apart(formula(steps, shift), name, steps, shift) <= most
    assert not is_told_as_near(conversion)


def test_last_level_of_the_wrappers_euler_is_far_from_an_even_one() -> None:
    assert of_euler(4, 11.0)[-2] == pytest.approx(0.108, abs=5e-4)
    assert hosts("simple", 4, 11.0)[-2] == pytest.approx(0.786, abs=5e-4)


@pytest.mark.parametrize("shift", SHIFTS)
def test_steps_of_the_distilled_list_are_four_even_ones(shift: float) -> None:
    name, sampler, conversion = chosen("flowmatch_distill", 4, shift)
    assert (name, sampler) == ("simple", "euler")
    assert apart(of_distill(4, shift), name, 4, shift) <= 4e-4
    assert not is_told_as_near(conversion)


@pytest.mark.parametrize("shift", SHIFTS)
def test_longcat_is_even_where_its_steps_divide_fifty_and_else_told_as_near(shift: float) -> None:
    name, _, conversion = chosen("longcat_distill_euler", 10, shift)
    assert apart(of_longcat(10, shift), name, 10, shift) <= 1e-6
    assert not is_told_as_near(conversion)
    name, _, conversion = chosen("longcat_distill_euler", 16, shift)
    assert 0.01 < apart(of_longcat(16, shift), name, 16, shift) <= 0.07
    assert is_told_as_near(conversion)


@pytest.mark.parametrize("shift", SHIFTS)
def test_sa_ode_is_even_up_to_ten_steps_and_told_as_near_beyond(shift: float) -> None:
    name, _, conversion = chosen("sa_ode_stable", 8, shift)
    assert apart(of_sa_ode(8, shift), name, 8, shift) <= 1e-6
    assert not is_told_as_near(conversion)
    name, _, conversion = chosen("sa_ode_stable", 20, shift)
    assert name == nearest(of_sa_ode(20, shift), 20, shift)
    assert is_told_as_near(conversion)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("scheduler", ["euler/beta", "lcm/beta"])
@pytest.mark.parametrize("steps", STEPS)
def test_beta_of_diffusers_is_told_as_near_and_the_nearest_is_chosen(
    scheduler: str, steps: int, shift: float
) -> None:
    name, _, conversion = chosen(scheduler, steps, shift)
    wanted = of_euler_beta(steps, shift)
    assert name == nearest(wanted, steps, shift)
    assert apart(wanted, name, steps, shift) <= 0.18
    assert is_told_as_near(conversion)


@pytest.mark.parametrize("scheduler", ["unipc/beta", "dpm++/beta", "dpm++_sde/beta"])
def test_other_betas_are_told_as_near(scheduler: str) -> None:
    name, _, conversion = chosen(scheduler, 6, 5.0)
    assert name == "beta"
    assert is_told_as_near(conversion)


def nearest(wanted: Levels, steps: int, shift: float) -> str:
    """The host's schedule whose levels are nearest."""
    from comfy.samplers import SCHEDULER_NAMES  # the host's

    return min(SCHEDULER_NAMES, key=lambda name: apart(wanted, name, steps, shift))
