"""Nodes of other packs that hand on what they get: memory cleaners, switches, and whatever keeps the type."""

from dataclasses import dataclass

from .host_nodes import HostNodes
from .sockets import ANY, input_type, output_type, wanted_type
from .source import Link, Source, SourceNode

KNOWN: dict[str, tuple[str, ...]] = {
    "ReroutePrimitive|pysssss": ("value",),
    "VRAM_Debug": ("any_input", "image_pass", "model_pass"),
}
"""For nodes that change nothing, the input that each output gives."""

FIRST_GIVEN = ("Any Switch (rgthree)",)
"""Nodes that hand on the first of their inputs that is given."""

MARK = "any"
"""What the names of inputs for any type begin with in the packs that have such nodes."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What an output gives of a node that hands on what it gets.

    Attributes:
        link: what the node gets.
        name: the input at which it gets it.
        is_same: whether it is known to hand it on as it is; else only the type is known to be the same.
    """

    link: Link
    name: str
    is_same: bool


def passed(host: HostNodes, source: Source, link: Link) -> Passed | None:
    """What a node hands on at an output; None if that is not known."""
    return _same(host, source, link) or _alike(host, source, link, wanted_type(host, source, link))


def passed_unchanged(host: HostNodes, source: Source, link: Link) -> Passed | None:
    """What a node hands on at an output without touching it; None if it is not known to."""
    return _same(host, source, link)


def _same(host: HostNodes, source: Source, link: Link) -> Passed | None:
    node = source.nodes.get(link.node)
    if node is None:
        return None
    given = node.links()
    if node.kind in KNOWN:
        names = KNOWN[node.kind]
        name = names[link.slot] if link.slot < len(names) else ""
        return Passed(given[name], name, is_same=True) if name in given else None
    if node.kind in FIRST_GIVEN:
        first = next(iter(sorted(given)), None)
        return None if first is None else Passed(given[first], first, is_same=True)
    if output_type(host, node, link.slot) not in (ANY, None) or link.slot != 0:
        return None
    free = [name for name in given if _takes_anything(host, node, name)]
    return Passed(given[free[0]], free[0], is_same=True) if len(free) == 1 else None


def _takes_anything(host: HostNodes, node: SourceNode, name: str) -> bool:
    declared = input_type(host, node, name)
    return name.lower().startswith(MARK) if declared is None else declared == ANY


def _alike(host: HostNodes, source: Source, link: Link, wanted: str | None) -> Passed | None:
    node = source.nodes.get(link.node)
    if node is None:
        return None
    declared = output_type(host, node, link.slot)
    kind = wanted if declared in (ANY, None) else declared
    if kind is None:
        return None
    alike = [name for name in node.links() if _gets(host, source, node, name, kind)]
    return Passed(node.links()[alike[0]], alike[0], is_same=False) if len(alike) == 1 else None


def _gets(host: HostNodes, source: Source, node: SourceNode, name: str, kind: str) -> bool:
    """Whether a type comes in at an input."""
    declared = input_type(host, node, name)
    if declared not in (ANY, None):
        return declared == kind
    link = node.links()[name]
    before = source.nodes.get(link.node)
    given = None if before is None else output_type(host, before, link.slot)
    if given in (ANY, None):  # one more node that nobody knows
        return _same(host, source, link) is not None or _alike(host, source, link, kind) is not None
    return given == kind
