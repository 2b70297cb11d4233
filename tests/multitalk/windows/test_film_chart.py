"""The chart of a film: one bar a window, its figures in words, the worst of several where there are many."""

import re
from xml.etree import ElementTree

import pytest
from evertalk_pack.multitalk.windows.film_chart import (
    MOST_BARS,
    PANELS,
    WindowFigures,
    figures_of,
    film_chart,
)

SVG = "{http://www.w3.org/2000/svg}"
FILM = [WindowFigures(0.0, 0.2, None), WindowFigures(3.24, 2.6, 1.04), WindowFigures(6.12, 1.1, 1.72)]


def drawn(windows: list[WindowFigures]) -> ElementTree.Element:
    return ElementTree.fromstring(film_chart(windows))


def bars(windows: list[WindowFigures]) -> list[str]:
    """What the bars say."""
    return [group.findtext(f"{SVG}title", "") for group in drawn(windows).iter(f"{SVG}g")]


def test_each_window_has_a_bar_that_says_its_figure() -> None:
    assert bars(FILM) == [
        "Window 1, from 0.0 s: 0.2",
        "Window 2, from 3.2 s: 2.6",
        "Window 3, from 6.1 s: 1.1",
        "Window 2, from 3.2 s: 1.0",
        "Window 3, from 6.1 s: 1.7",
    ]
    picture = drawn(FILM)
    assert picture.get("role") == "img"
    assert picture.findtext(f"{SVG}title") == "3 windows: colour drift at most 2.6, joins at most 1.7"
    texts = [text.text for text in picture.findall(f"{SVG}text")]
    assert [texts[0], texts[3]] == [panel.title for panel in PANELS]


def test_what_can_be_seen_has_another_colour_and_stands_above_the_line() -> None:
    colours, tops, limits = [], [], []
    for path in drawn(FILM).iter(f"{SVG}path"):
        x, y, rise = (float(number) for number in re.findall(r"-?[0-9.]+", path.get("d", "") + " 0")[:3])
        assert x > 0
        if path.get("stroke-dasharray"):
            limits.append(y)
        elif path.get("fill") != "none":
            colours.append(path.get("fill"))
            tops.append(y + rise)
    can_be_seen = [False, True, False, False, True]
    assert [colour == colours[1] for colour in colours] == can_be_seen
    drift_limit, seam_limit = limits
    assert [
        top <= limit for top, limit in zip(tops, 3 * [drift_limit] + 2 * [seam_limit], strict=True)
    ] == can_be_seen


def test_bar_of_a_long_film_stands_for_several_windows_and_shows_the_worst() -> None:
    film = [
        WindowFigures(3.0 * index, 5.0 if index == 7 else 1.0, None) for index in range(4 * MOST_BARS - 1)
    ]
    said = bars(film)
    assert len(said) == MOST_BARS
    assert said[0] == "Windows 1 to 4, from 0.0 s: at most 1.0"
    assert said[1] == "Windows 5 to 8, from 12.0 s: at most 5.0"
    assert said[-1] == f"Windows {4 * MOST_BARS - 3} to {4 * MOST_BARS - 1}, from 1788.0 s: at most 1.0"


@pytest.mark.parametrize("windows", [[], [WindowFigures(0.0, None, None)]])
def test_there_is_no_chart_where_all_figures_are_unknown(windows: list[WindowFigures]) -> None:
    assert film_chart(windows) == ""


def test_single_window_has_drift_alone() -> None:
    window = [WindowFigures(0.0, 0.4, None)]
    assert bars(window) == ["Window 1, from 0.0 s: 0.4"]
    assert drawn(window).findtext(f"{SVG}title") == "Colour drift at most 0.4"
    joins = [WindowFigures(0.0, None, None), WindowFigures(3.24, None, 1.2)]
    assert drawn(joins).findtext(f"{SVG}title") == "Joins between windows at most 1.2"


def test_numbers_of_the_scale_do_not_lie_over_each_other() -> None:
    marks = [
        [(text.text, float(text.get("y", "nan"))) for text in drawn(film) if text.get("text-anchor") == "end"]
        for film in ([WindowFigures(0.0, 0.4, None)], [WindowFigures(0.0, 150.0, None)])
    ]
    assert [[text for text, _ in one] for one in marks] == [["2", "0"], ["2", "150"]]
    for (_, first), (_, second) in marks:
        assert abs(first - second) > 10


@pytest.mark.parametrize("value", [-1, 10**400, 1e300, float("inf"), float("nan"), True, "<script/>", None])
def test_value_that_no_film_has_is_not_drawn(value: object) -> None:
    assert figures_of([{"start_s": value, "drift": 1.0, "seam": 1.0}]) == []
    assert figures_of([{"start_s": 2, "drift": value, "seam": 1.0}]) == [WindowFigures(2.0, None, 1.0)]


def test_program_that_knows_no_variables_of_css_paints_ink_on_paper() -> None:
    picture = drawn(FILM)
    ground = picture.find(f"{SVG}rect")
    assert ground is not None
    assert (picture.get("fill"), ground.get("fill")) == ("#222", "#fff")
