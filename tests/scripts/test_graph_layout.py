from itertools import combinations

from graph_layout import TITLE_HEIGHT, NodeShape, Place, bends_of_link, place_nodes


def shape(num_widgets: int = 1, width: int = 280) -> NodeShape:
    return NodeShape(1, 1, num_widgets, 0, has_preview=False, has_player=False, has_strip=False, width=width)


def stand(x: int, y: int, width: int, height: int) -> Place:
    return Place(x, y, width, height, room=height)


SOURCES = {
    "picture": [],
    "loader": [],
    "view": ["loader", "picture"],
    "model": [],
    "sampler": ["model", "picture", "view"],
    "decode": ["sampler", "model"],
}


def places() -> dict[str, Place]:
    return place_nodes({name: shape(len(name)) for name in SOURCES}, SOURCES)


def overlap(one: Place, other: Place) -> bool:
    is_beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    is_below = one.y + one.room <= other.y - TITLE_HEIGHT or other.y + other.room <= one.y - TITLE_HEIGHT
    return not is_beside and not is_below


def test_no_two_nodes_overlap() -> None:
    assert [pair for pair in combinations(places().items(), 2) if overlap(pair[0][1], pair[1][1])] == []


def test_room_of_a_node_is_never_less_than_its_height() -> None:
    many = NodeShape(0, 1, 9, 0, has_preview=False, has_player=False, has_strip=False, width=280)
    text = NodeShape(1, 1, 0, 1, has_preview=False, has_player=False, has_strip=False, width=280)
    assert many.room >= 334, "nine widgets as elements of the page, and the bar below them"
    assert text.room >= text.height == 170


def test_every_link_goes_from_left_to_right() -> None:
    placed = places()
    for target, feeding in SOURCES.items():
        for source in feeding:
            assert placed[source].x + placed[source].width < placed[target].x


def test_graph_begins_at_the_left_edge_below_a_title_bar() -> None:
    assert min(place.x for place in places().values()) == 0
    assert min(place.y for place in places().values()) == TITLE_HEIGHT


def test_column_is_as_wide_as_its_widest_node() -> None:
    shapes = {"a": shape(width=300), "b": shape(width=450), "end": shape()}
    placed = place_nodes(shapes, {"a": [], "b": [], "end": ["a", "b"]})
    assert (placed["a"].width, placed["b"].width, placed["end"].width) == (450, 450, 280)


def test_link_over_a_column_turns_below_it() -> None:
    start, between, end = stand(0, 300, 100, 100), stand(200, 0, 100, 250), stand(500, 0, 100, 100)
    corners = bends_of_link(start, 0, end, 2, [start, between, end])
    assert [y for _, y in corners] == [314, 54]
    assert all(300 < x < 500 for x, _ in corners)


def test_link_that_would_run_through_a_node_keeps_its_own_way() -> None:
    start, between, end = stand(0, 100, 100, 100), stand(200, 0, 100, 250), stand(500, 0, 100, 100)
    assert bends_of_link(start, 0, end, 0, [start, between, end]) == []


def test_link_to_the_next_column_has_no_corner() -> None:
    start, end = stand(0, 100, 100, 100), stand(200, 0, 100, 100)
    assert bends_of_link(start, 0, end, 0, [start, end]) == []
