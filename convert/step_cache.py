"""TeaCache, which leaves out steps: WanVideoWrapper's settings as EverTalk Step Cache."""

from .constants import number
from .settings import account_for
from .source import Link, SourceNode
from .work import Work

TEACACHE = "WanVideoTeaCache"
STEP_CACHE = "EverTalkStepCache"


def cached(work: Work, sampler: SourceNode, model: Link) -> Link:
    """The MODEL, after EverTalk Step Cache if the sampler was given TeaCache."""
    link = sampler.link("cache_args")
    node = work.node_behind(link, (TEACACHE,))
    if node is None:
        return model
    offered = work.host.choices(STEP_CACHE, "fitted_to")
    if node.kind != TEACACHE or not offered:
        work.lost(sampler, f"cache_args ({node.name}) has no counterpart")
        return model
    account_for(
        work, node, ("rel_l1_thresh", "start_step", "end_step", "cache_device", "mode", "use_coefficients")
    )
    if node.inputs.get("use_coefficients") is False:
        work.changed(node, "use_coefficients off: EverTalk Step Cache always uses them")
    base = " ".join(str(made["inputs"].get("base_model", "")) for made in work.made.values())
    fitted = next((one for one in offered if ("720" in one) == ("720" in base)), offered[0])
    steps, end = int(number(work, sampler, "steps", 30)), int(number(work, node, "end_step", -1))
    inputs: dict[str, object] = {
        "model": model,
        "threshold": round(min(1.0, number(work, node, "rel_l1_thresh", 0.3)), 3),
        "fitted_to": fitted,
        "first_steps": max(1, int(number(work, node, "start_step", 1))),
        "last_steps": max(0, steps - end) if end > 0 else 0,
    }
    work.changed(node, f"becomes EverTalk Step Cache, fitted to {fitted}")
    return Link(work.add(STEP_CACHE, "EverTalk Step Cache", inputs), 0)
