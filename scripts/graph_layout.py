"""Places the nodes of a graph: columns from left to right, each node beside the one that needs it.

Sizes and places are the editor's pixels; a node's place is its upper left corner below the title bar.

The editor draws nodes in two ways, chosen by its setting `Comfy.VueNodes.Enabled`: on a canvas, where a node
is as high as its file says, or as elements of the page, where it is as high as what it holds. A node is saved
with its height on the canvas and is given the room that the higher of the two takes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

TITLE_HEIGHT = 30
SLOT_HEIGHT = 20
WIDGET_HEIGHT = 24
TEXT_WIDGET_HEIGHT = 120
PREVIEW_HEIGHT = 240
"""Room for the picture that a node shows below its widgets."""
PLAYER_HEIGHT = 50
"""Room for the player that the editor shows for a sound."""
PADDING = 22
NEW_WIDGET_HEIGHT = 28
NEW_TEXT_WIDGET_HEIGHT = 76
NEW_STRIP_HEIGHT = 40
NEW_PADDING = 14
"""These four: in a node that is an element of the page (measured in the frontends 1.49.6 and 1.58.1)."""
NEW_FOOTER_HEIGHT = 24
"""The bar below such a node that says there is something to mend, a missing model for one."""
NEW_BADGE_HEIGHT = 24
"""The line in such a node that names the pack it comes from."""
COLUMN_GAP = 90
ROW_GAP = 22
GRID = 10
FIRST_SLOT = 14
"""From a node's upper edge to the middle of its first socket."""


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What decides how much room a node takes.

    Attributes:
        num_inputs: sockets on the left that no widget belongs to.
        num_outputs: sockets on the right.
        num_widgets: one-line widgets.
        num_texts: text boxes of several lines.
        has_preview: whether the node shows a picture or a video.
        has_player: whether it plays a sound.
        has_strip: whether the pack's extension shows a line below the widgets.
        width: in pixels.
    """

    num_inputs: int
    num_outputs: int
    num_widgets: int
    num_texts: int
    has_preview: bool
    has_player: bool
    has_strip: bool
    width: int

    @property
    def height(self) -> int:
        """Height on the canvas, below the title bar, on the editor's grid."""
        widgets = (self.num_widgets + self.has_strip) * WIDGET_HEIGHT + self.num_texts * TEXT_WIDGET_HEIGHT
        return _on_grid(self._sockets_and_media + widgets + PADDING)

    @property
    def room(self) -> int:
        """Height where the editor needs most for it, below the title bar, on the editor's grid."""
        widgets = self.num_widgets * NEW_WIDGET_HEIGHT + self.num_texts * NEW_TEXT_WIDGET_HEIGHT
        below = self.has_strip * NEW_STRIP_HEIGHT + NEW_BADGE_HEIGHT + NEW_PADDING
        new = _on_grid(self._sockets_and_media + widgets + below)
        return max(self.height, new) + NEW_FOOTER_HEIGHT

    @property
    def _sockets_and_media(self) -> int:
        sockets = max(self.num_inputs, self.num_outputs) * SLOT_HEIGHT
        return sockets + self.has_preview * PREVIEW_HEIGHT + self.has_player * PLAYER_HEIGHT


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands, how large it is on the canvas, and how high the room that is kept for it."""

    x: int
    y: int
    width: int
    height: int
    room: int


def place_nodes(shapes: Mapping[str, NodeShape], sources: Mapping[str, Sequence[str]]) -> dict[str, Place]:
    """A place for every node.

    A node's column is its longest way to an end of the graph, so that links go from left to right and what
    feeds a node stands close to it. All nodes of a column are as wide as the widest.

    Args:
        shapes: the nodes.
        sources: for each node, the nodes that feed it, in the order of its sockets.
    """
    steps_to_end = _steps_to_end(sources)
    order = _visit_order(sources, steps_to_end)
    places: dict[str, Place] = {}
    right_edge = 0
    for column in range(max(steps_to_end.values()) + 1):
        # What feeds a column further right stands lowest: its link passes below the column between.
        members = sorted(
            (node for node in order if steps_to_end[node] == column),
            key=lambda node: any(
                node in sources[other] and steps_to_end[other] < column - 1 for other in order
            ),
        )
        width = max(shapes[node].width for node in members)
        x = right_edge - width
        bottom = 0
        for node in members:
            wanted = [places[other].y for other in places if node in sources[other]]
            y = max([bottom, min(wanted, default=0)])
            places[node] = Place(x, y, width, shapes[node].height, shapes[node].room)
            bottom = y + shapes[node].room + TITLE_HEIGHT + ROW_GAP
        right_edge = x - COLUMN_GAP
    left = min(place.x for place in places.values())
    return {
        node: replace(place, x=place.x - left, y=place.y + TITLE_HEIGHT) for node, place in places.items()
    }


def slot_height(place: Place, slot: int) -> int:
    """How low the middle of a node's socket is."""
    return place.y + slot * SLOT_HEIGHT + FIRST_SLOT


def bends_of_link(
    start: Place, slot: int, end: Place, end_slot: int, places: Iterable[Place]
) -> list[tuple[int, int]]:
    """The two corners of a link that passes below a column: where it turns up, and where to its target.

    No corners for a link to the next column, and for one that has no free way straight to the right.
    """
    y = slot_height(start, slot)
    between = [place for place in places if start.x + start.width < place.x < end.x]
    blocked = any(place.y - TITLE_HEIGHT < y < place.y + place.room for place in between)
    corner = end.x - COLUMN_GAP // 3
    return [] if blocked or not between else [(corner, y), (corner, slot_height(end, end_slot))]


def _on_grid(height: int) -> int:
    return -(-height // GRID) * GRID


def _steps_to_end(sources: Mapping[str, Sequence[str]]) -> dict[str, int]:
    steps = dict.fromkeys(sources, 0)
    for _ in sources:  # the longest way has fewer links than there are nodes
        for node, feeding in sources.items():
            for source in feeding:
                steps[source] = max(steps[source], steps[node] + 1)
    return steps


def _visit_order(sources: Mapping[str, Sequence[str]], steps_to_end: Mapping[str, int]) -> list[str]:
    """The nodes in the order in which one meets them going back from the ends, socket by socket."""
    order: dict[str, None] = {}

    def visit(node: str) -> None:
        if node not in order:
            order[node] = None
            for source in sources[node]:
                visit(source)

    for node in sources:
        if steps_to_end[node] == 0:
            visit(node)
    return list(order)
