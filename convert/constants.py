"""Numbers and texts that stand in nodes of their own."""

from .remarks import Level
from .source import Link, SourceNode
from .work import Work

VALUE_FIELDS = {
    "INTConstant": "value",
    "FloatConstant": "value",
    "StringConstant": "string",
    "StringConstantMultiline": "string",
    "PrimitiveInt": "value",
    "PrimitiveFloat": "value",
    "PrimitiveString": "value",
    "PrimitiveStringMultiline": "value",
    "PrimitiveBoolean": "value",
    "easy int": "value",
    "easy float": "value",
    "Int": "Number",
    "Float": "Number",
}
"""For nodes that hold one value, the field that holds it."""

EXACT_RESIZES = ("crop", "stretch", "pad", "pad_edge", "pad_edge_pixel", "pillarbox_blur", True, False)
"""What ImageResizeKJv2 does to the proportions where its outputs are as large as its fields say."""

SIDES = {1: "width", 2: "height"}
"""Outputs of ImageResizeKJv2 and of GetImageSizeAndCount."""


def constant(work: Work, value: object) -> object:
    """A fixed value, looked up where it stands in another node; None if it is known only in a run."""
    if not isinstance(value, Link):
        return value
    value = work.origin(value)
    node = work.node_of(value)
    if node is None:
        return None
    if node.kind in VALUE_FIELDS:
        return constant(work, node.inputs.get(VALUE_FIELDS[node.kind]))
    if node.kind == "GetImageSizeAndCount" and value.slot in SIDES:
        image = node.link("image")
        return None if image is None else _side(work, work.node_of(image), value.slot)
    return _side(work, node, value.slot) if node.kind == "ImageResizeKJv2" else None


def number(work: Work, node: SourceNode, name: str, default: float) -> float:
    """A number; the default where it is missing or known only in a run."""
    found = constant(work, node.inputs.get(name))
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found
    if isinstance(node.inputs.get(name), Link):
        work.say(Level.LOST, node, f"{name} is computed by other nodes: {default:g} is used")
    return default


def _side(work: Work, node: SourceNode | None, slot: int) -> object:
    """A side of a resized picture, in pixels."""
    if node is None or node.kind != "ImageResizeKJv2" or slot not in SIDES:
        return None
    if node.inputs.get("keep_proportion", "crop") not in EXACT_RESIZES:
        return None
    side, multiple = number(work, node, SIDES[slot], 0), int(number(work, node, "divisible_by", 1)) or 1
    return int(side) // multiple * multiple or None
