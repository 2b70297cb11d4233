"""WanVideoWrapper's schedulers as pairs of an EverTalk schedule and one of ComfyUI's samplers."""

from .remarks import Level
from .source import SourceNode
from .work import Work

BETA = "/beta"
FIXED = "multitalk"
EVEN, BETA_SCHEDULE = "simple", "beta"

SAMPLERS = {
    "unipc": "uni_pc",
    "dpm++": "dpmpp_2m",
    "dpm++_sde": "dpmpp_2m_sde",
    "euler": "euler",
    "deis": "deis",
    "lcm": "lcm",
    "res_multistep": "res_multistep",
    "er_sde": "er_sde",
    "sa_ode_stable": "sa_solver",
}
"""The same method under ComfyUI's name; none of them gives the same numbers to the last digit."""

RANDOM = ("dpm++_sde", "er_sde", "lcm")
"""Those that add noise in every step, from another source than WanVideoWrapper's."""


def schedule_of(work: Work, node: SourceNode) -> tuple[str, str]:
    """Schedule and sampler for a sampler's choice."""
    asked = node.text("scheduler", "unipc")
    name, is_beta = asked.removesuffix(BETA), asked.endswith(BETA)
    if name == FIXED:
        return FIXED, "euler"
    schedule = BETA_SCHEDULE if is_beta else EVEN
    if name not in SAMPLERS:
        work.say(Level.CHANGED, node, f"scheduler {asked} does not exist here: euler is used")
        return schedule, "euler"
    if name in RANDOM:
        work.say(
            Level.CHANGED, node, f"scheduler {asked} adds noise of its own: the same seed gives another video"
        )
    return schedule, SAMPLERS[name]
