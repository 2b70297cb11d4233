"""ComfyUI's own InfiniteTalk nodes: which of them continue which, from a video's first part to its last."""

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import ConvertError
from .source import Link, SourceNode
from .work import Work

TALK = "WanInfiniteTalkToVideo"
LATENT = 3
"""The output of it that a sampler starts from."""

SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
EARLIER = "previous_frames"
MAX_PARTS = 1000
"""Of all videos together, counted in each that they are in."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a video.

    Attributes:
        talk: the node that puts speech on the model.
        sampler: the one that samples what it gives.
    """

    talk: SourceNode
    sampler: SourceNode


def chains_of(work: Work) -> list[list[Part]]:
    """The videos that a workflow makes with these nodes, each as its parts in their order.

    Raises:
        ConvertError: a part is not sampled, or is made from itself, or there are too many.
    """
    parts = {node.id: Part(node, _sampler_of(work, node)) for node in work.source.of_kind(TALK)}
    before = {one: _earlier(work, part.talk) for one, part in parts.items()}
    for one in before:
        _refuse_circle(parts[one].talk, before)
    earlier = set(before.values())
    chains = [[parts[one] for one in _line(end, before)] for end in parts if end not in earlier]
    if sum(len(chain) for chain in chains) > MAX_PARTS:
        raise ConvertError(
            f"workflow: its {TALK} make more than {MAX_PARTS} parts of videos; convert a smaller workflow"
        )
    return chains


def upstream(work: Work, node: SourceNode) -> Iterator[SourceNode]:
    """A node and all that it is made from, but for the frames of an earlier part."""
    waiting, found = [node], {node.id}
    while waiting:
        one = waiting.pop()
        yield one
        for name, value in one.inputs.items():
            if not isinstance(value, Link) or (one.kind == TALK and name == EARLIER):
                continue
            if value.node in work.source.nodes and value.node not in found:
                found.add(value.node)
                waiting.append(work.source.nodes[value.node])


def _sampler_of(work: Work, talk: SourceNode) -> SourceNode:
    wanted = Link(talk.id, LATENT)
    takers = [node for node in work.source.nodes.values() if wanted in node.inputs.values()]
    samplers = [node for node in takers if node.kind in SAMPLERS]
    if not samplers:
        came = ", ".join(node.name for node in takers) or "nothing"
        raise ConvertError(
            f"{talk.name}: its latent goes to {came}; connect it to one of {', '.join(SAMPLERS)} and convert "
            "again"
        )
    for other in samplers[1:]:
        work.lost(other, f"{talk.name} is sampled by {samplers[0].name} alone")
    return samplers[0]


def _earlier(work: Work, talk: SourceNode) -> str | None:
    """The part whose frames a part goes on from; None for the first."""
    link = talk.link(EARLIER)
    if link is None or link.node not in work.source.nodes:
        return None
    behind = list(upstream(work, work.source.nodes[link.node]))
    found = next((node.id for node in behind if node.kind == TALK), None)
    if found is None:
        work.seen |= {node.id for node in behind}
        work.lost(
            talk,
            f"{EARLIER} ({work.source.nodes[link.node].name}) are not frames of another {TALK}: the video "
            "begins with start_image",
        )
    return found


def _line(end: str, before: dict[str, str | None]) -> list[str]:
    line, one = [end], before[end]
    while one is not None:
        line.insert(0, one)
        one = before[one]
    return line


def _refuse_circle(talk: SourceNode, before: dict[str, str | None]) -> None:
    one, steps = before[talk.id], 0
    while one is not None:
        one, steps = before[one], steps + 1
        if steps > len(before):
            raise ConvertError(
                f"{talk.name}: its {EARLIER} are made from its own frames; disconnect them where the video "
                "begins, and convert again"
            )
