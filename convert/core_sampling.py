"""How ComfyUI's samplers are set: seed, steps, scheduler, guidance."""

from dataclasses import dataclass

from .constants import number
from .core_chain import Part
from .sampler import SCALES, STEPS, fitting_seed
from .settings import account_for, fitting
from .source import Link, SourceNode
from .work import Work

POSITIVE = 1
"""The output of the talk node with the prompt."""

GUIDERS, NOISES = ("CFGGuider", "BasicGuider"), ("RandomNoise",)
USUAL_STEPS, USUAL_SCHEDULE, USUAL_SAMPLER = 20, "simple", "euler"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a part is sampled.

    Attributes:
        model: what the sampler gets as its model.
        widgets: values of EverTalk Sampler.
    """

    model: Link | None
    widgets: dict[str, object]


def sampling_of(work: Work, part: Part) -> Sampling:
    """The settings of the sampler of a part, and of the nodes that it takes them from."""
    node = part.sampler
    work.seen.add(node.id)
    if node.kind == "SamplerCustomAdvanced":
        return _custom_advanced(work, part)
    if node.kind == "SamplerCustom":
        carried = ("model", "noise_seed", "cfg", "positive", "negative", "sampler", "sigmas", "latent_image")
        account_for(work, node, (*carried, "add_noise"))
        name, schedule = _sampler_name(work, node), _schedule(work, node)
    else:
        carried = ("model", "seed", "noise_seed", "cfg", "positive", "negative", "latent_image", "denoise")
        account_for(work, node, (*carried, "steps", "sampler_name", "scheduler", *_part_of_steps(work, node)))
        name, schedule = node.text("sampler_name", USUAL_SAMPLER), _steps(work, node)
    _prompt(work, part, node.link("positive"))
    widgets = {
        "sampler_name": name,
        **schedule,
        "seed": _seed(work, node),
        "text_scale": _scale(work, node),
    }
    return Sampling(node.link("model"), widgets)


def _custom_advanced(work: Work, part: Part) -> Sampling:
    node = part.sampler
    account_for(work, node, ("noise", "guider", "sampler", "sigmas", "latent_image"))
    guider = work.needed(node, "guider", "CFGGuider", GUIDERS)
    scale = 1.0
    if guider.kind == "CFGGuider":
        account_for(work, guider, ("model", "positive", "negative", "cfg"))
        scale = _scale(work, guider)
    elif guider.kind == "BasicGuider":
        account_for(work, guider, ("model", "conditioning"))
    else:
        work.lost(guider, "its guidance has no counterpart: text_scale 1 is used")
    _prompt(work, part, guider.link("positive") or guider.link("conditioning"))
    noise = work.needed(node, "noise", "RandomNoise", NOISES)
    widgets = {
        "sampler_name": _sampler_name(work, node),
        **_schedule(work, node),
        "seed": _seed(work, noise),
        "text_scale": scale,
    }
    return Sampling(guider.link("model"), widgets)


def _part_of_steps(work: Work, node: SourceNode) -> tuple[str, ...]:
    """Fields of KSamplerAdvanced; says so if it makes a part of its steps alone."""
    names = ("add_noise", "start_at_step", "end_at_step", "return_with_leftover_noise")
    start, steps = number(work, node, "start_at_step", 0), number(work, node, "steps", USUAL_STEPS)
    if start > 0 or number(work, node, "end_at_step", steps) < steps:
        work.lost(node, "start_at_step, end_at_step: one sampler makes all steps here")
    return names


def _sampler_name(work: Work, node: SourceNode) -> str:
    chosen = work.needed(node, "sampler", "KSamplerSelect", ("KSamplerSelect",))
    if chosen.kind == "KSamplerSelect":
        return chosen.text("sampler_name", USUAL_SAMPLER)
    work.lost(chosen, f"its sampler has no counterpart: {USUAL_SAMPLER} is used")
    return USUAL_SAMPLER


def _schedule(work: Work, node: SourceNode) -> dict[str, object]:
    sigmas = work.needed(node, "sigmas", "BasicScheduler", ("BasicScheduler",))
    if sigmas.kind == "BasicScheduler":
        account_for(work, sigmas, ("model", "scheduler", "steps", "denoise"))
        return _steps(work, sigmas)
    work.lost(sigmas, f"its noise levels have no counterpart: {USUAL_SCHEDULE} is used")
    return {**_steps(work, sigmas), "scheduler": USUAL_SCHEDULE}


def _steps(work: Work, node: SourceNode) -> dict[str, object]:
    denoise = number(work, node, "denoise", 1.0)
    if denoise != 1:
        work.lost(node, f"denoise {denoise:g} has no counterpart: the video is made from noise alone")
    steps = int(number(work, node, "steps", USUAL_STEPS))
    schedule = node.text("scheduler", USUAL_SCHEDULE)
    return {"scheduler": schedule, "steps": int(fitting(work, node, "steps", steps, STEPS))}


def _seed(work: Work, node: SourceNode) -> int:
    name = "noise_seed" if "noise_seed" in node.inputs else "seed"
    return fitting_seed(work, node, int(number(work, node, name, 0)))


def _scale(work: Work, node: SourceNode) -> float:
    return round(fitting(work, node, "cfg", number(work, node, "cfg", 1.0), SCALES), 3)


def _prompt(work: Work, part: Part, link: Link | None) -> None:
    """Say so if something is between the talk node's prompt and the sampler."""
    if link is not None and link != Link(part.talk.id, POSITIVE):
        node = work.node_of(link)
        work.lost(node, "what it does to the prompt has no counterpart")
