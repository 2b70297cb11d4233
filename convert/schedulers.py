"""WanVideoWrapper's schedulers as pairs of an EverTalk schedule and one of ComfyUI's samplers.

The pairs are those whose noise levels agree; tests/convert/test_noise_levels.py computes both.
"""

from .constants import number
from .source import SourceNode
from .work import Work

BETA = "/beta"
FIXED = "multitalk"
EVEN, TO_THE_LAST, BETA_SCHEDULE, OPTIMAL = "simple", "normal", "beta", "kl_optimal"

SAMPLERS = {
    "unipc": "uni_pc",
    "dpm++": "dpmpp_2m",
    "dpm++_sde": "dpmpp_2m_sde",
    "euler": "euler",
    "deis": "deis",
    "flowmatch_distill": "euler",
    "lcm": "lcm",
    "longcat_distill_euler": "euler",
    "res_multistep": "res_multistep",
    "er_sde": "er_sde",
    "sa_ode_stable": "sa_solver",
}
"""The same method under ComfyUI's name; none of them gives the same numbers to the last digit."""

DIFFUSERS = ("euler", "lcm")
"""Those that are diffusers' own: their last step begins at a level that is shifted twice, as with `normal`.
All others part the way evenly, as `simple` does."""

RANDOM = ("dpm++_sde", "er_sde", "lcm")
"""Those that add noise in every step, from another source than WanVideoWrapper's."""

SA_ODE, SA_EVEN_STEPS = "sa_ode_stable", 10
"""Up to so many steps it parts the way evenly, beyond by a cosine."""

LONGCAT, LONGCAT_GRID = "longcat_distill_euler", 50
"""Its steps are taken from so many even ones."""


def schedule_of(work: Work, node: SourceNode) -> tuple[str, str]:
    """Schedule and sampler for a sampler's choice."""
    asked = node.text("scheduler", "unipc")
    name, is_beta = asked.removesuffix(BETA), asked.endswith(BETA)
    if name == FIXED:
        return FIXED, "euler"
    if name not in SAMPLERS:
        work.changed(node, f"scheduler {asked} does not exist here: euler is used")
        return (BETA_SCHEDULE if is_beta else EVEN), "euler"
    if name in RANDOM:
        work.changed(node, f"scheduler {asked} adds noise of its own: the same seed gives another video")
    schedule, is_near = _levels(name, int(number(work, node, "steps", 30)), is_beta=is_beta)
    if is_near:
        levels = "no schedule of ComfyUI has its noise levels"
        work.changed(node, f"scheduler {asked}: {levels}; {schedule}, which comes near, is used")
    return schedule, SAMPLERS[name]


def _levels(name: str, steps: int, *, is_beta: bool) -> tuple[str, bool]:
    """The schedule of a method's noise levels, and whether it only comes near."""
    if is_beta:  # WanVideoWrapper draws them between the first and the last level, ComfyUI before the shift
        return (OPTIMAL if name in DIFFUSERS else BETA_SCHEDULE), True
    if name in DIFFUSERS:
        return TO_THE_LAST, False
    if name == SA_ODE and steps > SA_EVEN_STEPS:
        return BETA_SCHEDULE, True
    return EVEN, name == LONGCAT and LONGCAT_GRID % steps != 0
