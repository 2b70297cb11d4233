"""Numbers and texts that stand in nodes of their own, and sizes that pictures are given on the way."""

from typing import TypeAlias

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
    "easy seed": "seed",
    "Seed (rgthree)": "seed",
    "Int": "Number",
    "Float": "Number",
}
"""For nodes that hold one value, the field that holds it."""

WidthHeight: TypeAlias = tuple[int, int]
"""Width and height, in pixels."""

EXACT_RESIZES = ("crop", "stretch", "pad", "pad_edge", "pad_edge_pixel", "pillarbox_blur", False)
"""What KJNodes' resizes do to the proportions where the result is as large as their fields say."""

FITTING_RESIZES = ("resize", "pad", "pad_edge", "pad_edge_pixel", "pillarbox_blur", True)
"""Those that take a side which is 0 from the picture's proportions; the others take it from the picture."""

EXACT_METHODS = ("stretch", "fill / crop", "pad")
"""What ImageResize+ does where its result is as large as its fields say."""

KEEP_SIZE = (
    "ColorMatch",
    "GetImageRangeFromBatch",
    "GetImageSizeAndCount",
    "GetImagesFromBatchIndexed",
    "ImageFromBatch",
    "ImageSelector",
    "RepeatImageBatch",
)
"""Nodes whose pictures are as large as those they get."""

RESIZES = ("ImageResizeKJ", "ImageResizeKJv2", "ImageResize+")
"""Nodes whose second and third output are the sides of the picture that they give."""

SIDES_OF_IMAGE = {"GetImageSizeAndCount": 1, "GetImageSize": 0, "GetImageSize+": 0, "easy imageSize": 0}
"""Nodes that measure the picture they get, and the output that is its width; the next is its height."""

VIDEO_STEP_PX = 32
"""VideoHelperSuite rounds sides to multiples of 8, 16 or 32, by the format: one of 32 stays in all."""


def constant(work: Work, value: object) -> object:
    """A fixed value, looked up in the node that holds it; None if it is known only in a run."""
    if not isinstance(value, Link):
        return value
    value = work.origin(value)
    node = work.node_of(value)
    if node is None:
        return None
    if node.kind in VALUE_FIELDS:
        return constant(work, node.inputs.get(VALUE_FIELDS[node.kind]))
    if node.kind in RESIZES and value.slot in (1, 2):
        return _side(size_of(work, Link(value.node, 0)), value.slot - 1)
    if node.kind in SIDES_OF_IMAGE:
        return _side(size_of(work, node.link("image")), value.slot - SIDES_OF_IMAGE[node.kind])
    return None


def number(work: Work, node: SourceNode, name: str, default: float) -> float:
    """A number; the default where it is missing or known only in a run."""
    found = constant(work, node.inputs.get(name))
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found
    if isinstance(node.inputs.get(name), Link):
        work.lost(node, f"{name} is computed by other nodes: {default:g} is used")
    return default


def size_of(work: Work, link: Link | None) -> WidthHeight | None:
    """How large the pictures of an output are; None if only a run would tell."""
    node = work.node_of(link)
    if node is None:
        return None
    before = node.link("image") or node.link("images")
    if node.kind in KEEP_SIZE:
        return size_of(work, before)
    if node.kind in ("ImageResizeKJ", "ImageResizeKJv2"):
        return _resized(work, node, before)
    if node.kind == "ImageResize+":
        return _stretched(work, node)
    if node.kind in ("ImageScale", "EmptyImage"):
        return _fields(work, node)
    asked = _fields(work, node, "custom_width", "custom_height")
    is_video = node.kind.startswith("VHS_LoadVideo")
    return asked if is_video and asked and not any(side % VIDEO_STEP_PX for side in asked) else None


def _stretched(work: Work, node: SourceNode) -> WidthHeight | None:
    """What ImageResize+ makes of a picture."""
    is_exact = node.inputs.get("method", "stretch") in EXACT_METHODS
    is_always = node.inputs.get("condition", "always") == "always"
    multiple = constant(work, node.inputs.get("multiple_of", 1))
    return _rounded(_fields(work, node), multiple) if is_exact and is_always else None


def _resized(work: Work, node: SourceNode, before: Link | None) -> WidthHeight | None:
    """What KJNodes' resizes make of a picture."""
    way = node.inputs.get("keep_proportion", False)
    asked, multiple = _fields(work, node), constant(work, node.inputs.get("divisible_by", 1))
    if asked is not None:
        made = _rounded(asked, multiple)
        # A pad is rounded up, a picture down: they agree where the fields name a multiple.
        return made if way in EXACT_RESIZES and (way not in FITTING_RESIZES or made == asked) else None
    sides = [constant(work, node.inputs.get(name)) for name in ("width", "height")]
    given = size_of(work, before)
    if way in FITTING_RESIZES or given is None or not all(isinstance(side, int) for side in sides):
        return None
    width, height = (int(str(side)) or own for side, own in zip(sides, given, strict=True))
    return _rounded((width, height), multiple)


def _fields(work: Work, node: SourceNode, *names: str) -> WidthHeight | None:
    """The sides that a node's fields name; None if one is 0 or not known."""
    width, height = (constant(work, node.inputs.get(name)) for name in names or ("width", "height"))
    if not isinstance(width, int | float) or not isinstance(height, int | float):
        return None
    return (int(width), int(height)) if width > 0 and height > 0 else None


def _rounded(size: WidthHeight | None, multiple: object) -> WidthHeight | None:
    step = max(1, int(multiple)) if isinstance(multiple, int | float) else None
    if size is None or step is None or min(size) < step:
        return None
    return size[0] // step * step, size[1] // step * step


def _side(size: WidthHeight | None, index: int) -> int | None:
    return size[index] if size is not None and index in (0, 1) else None
