"""The figures of a film's windows as a small picture, SVG: colour drift, and how visible each join is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from .report import VISIBLE_DRIFT, VISIBLE_SEAM

MOST_BARS = 150
"""Of a longer film a bar stands for several windows and shows the worst of them."""

WIDTH, LEFT, RIGHT = 360, 26, 4
TITLE, PANEL, GAP = 14, 36, 6
"""In pixels of the picture: a panel's title, its height, and what is left free below."""

HIGHEST = 1e9
"""A figure above it is not drawn: no film has such a one."""

GOOD, BAD = "#4c8bf5", "#c94f4f"
"""Bars below and above what can be seen."""

INK, GROUND = (
    f'fill="{plain}" style="fill:var({editors}, {plain})"'
    for plain, editors in (("#222", "--input-text"), ("#fff", "--comfy-input-bg"))
)
"""Text and background: the editor's own colours where there are any. A program that knows no `var` would
paint both black, but for the plain colour before it."""


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """What is drawn of a window.

    Attributes:
        start_s: where in the film it begins, in seconds.
        drift: see WindowReport; None where it is not known.
        seam: see WindowReport.
    """

    start_s: float
    drift: float | None
    seam: float | None


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure over the film.

    Attributes:
        title: above it.
        limit: from where on it can be seen, drawn dashed.
        of: reads it.
    """

    title: str
    limit: float
    of: Callable[[WindowFigures], float | None]


PANELS = (
    Panel(
        f"Colour drift from the first picture (visible from {VISIBLE_DRIFT:g})",
        VISIBLE_DRIFT,
        lambda one: one.drift,
    ),
    Panel(f"Joins between windows (visible from {VISIBLE_SEAM:g})", VISIBLE_SEAM, lambda one: one.seam),
)


def figures_of(windows: object) -> list[WindowFigures]:
    """The figures of windows as a sampler's result lists them; none if it lists something else.

    Args:
        windows: a list of dicts with `start_s`, `drift` and `seam`, numbers or None.
    """
    entries = cast("list[object]", windows) if isinstance(windows, list) else []
    dicts = [cast("Mapping[str, object]", entry) for entry in entries if isinstance(entry, Mapping)]
    starts = [figure(entry.get("start_s")) for entry in dicts]
    return [
        WindowFigures(start_s, figure(entry.get("drift")), figure(entry.get("seam")))
        for entry, start_s in zip(dicts, starts, strict=True)
        if start_s is not None
    ]


def figure(value: object) -> float | None:
    """A figure that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= HIGHEST else None


def film_chart(windows: Sequence[WindowFigures]) -> str:
    """The picture as SVG; empty where the figures of all windows are unknown.

    What a bar says when the mouse is on it stands in its `title`, the picture's own title says what it shows.
    """
    shown = [panel for panel in PANELS if any(panel.of(window) is not None for window in windows)]
    if not shown:
        return ""
    height = len(shown) * (TITLE + PANEL + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" font-family="sans-serif" font-size="10" {INK}>',
        f"<title>{summary(windows)}</title>",
        f'<rect width="{WIDTH}" height="{height}" {GROUND}/>',
    ]
    for index, panel in enumerate(shown):
        lines += draw_panel(panel, windows, index * (TITLE + PANEL + GAP) + TITLE)
    return "\n".join([*lines, "</svg>", ""])


def summary(windows: Sequence[WindowFigures]) -> str:
    """The worst of each figure, in a sentence."""
    drift, seam = (worst_of(panel, windows) for panel in PANELS)
    if seam is None:
        return f"Colour drift at most {drift:.1f}"
    if drift is None:
        return f"Joins between windows at most {seam:.1f}"
    return f"{len(windows)} windows: colour drift at most {drift:.1f}, joins at most {seam:.1f}"


def draw_panel(panel: Panel, windows: Sequence[WindowFigures], top: int) -> Iterator[str]:
    """A panel's elements; `top` is the upper edge of its bars."""
    each = -(-len(windows) // MOST_BARS)
    groups = [windows[first : first + each] for first in range(0, len(windows), each)]
    worst = [worst_of(panel, group) for group in groups]
    highest = max(1.25 * panel.limit, *(value for value in worst if value is not None))
    step = (WIDTH - LEFT - RIGHT) / len(groups)
    limit_y, bottom, end = top + PANEL * (1 - panel.limit / highest), top + PANEL, WIDTH - RIGHT
    yield f'<text x="{LEFT}" y="{top - 4}">{panel.title}</text>'
    for index, (group, value) in enumerate(zip(groups, worst, strict=True)):
        if value is None:
            continue
        first, last = index * each + 1, index * each + len(group)
        start_s = group[0].start_s
        name = f"Window {first}, from {start_s:.1f} s: {value:.1f}"
        if first != last:
            name = f"Windows {first} to {last}, from {start_s:.1f} s: at most {value:.1f}"
        colour = BAD if value >= panel.limit else GOOD
        left, wide, high = LEFT + index * step, max(step - 1, 0.5 * step), PANEL * value / highest
        # The whole height answers the mouse: a good bar is a pixel or two high.
        yield f"<g><title>{name}</title>"
        yield f'<rect x="{left:.2f}" y="{top}" width="{step:.2f}" height="{PANEL}" fill-opacity="0"/>'
        yield f'<path d="M{left:.2f} {bottom}v{-high:.2f}h{wide:.2f}v{high:.2f}z" fill="{colour}"/></g>'
    yield f'<path d="M{LEFT} {limit_y:.2f}H{end}" stroke="{BAD}" stroke-dasharray="4 3" fill="none"/>'
    yield f'<path d="M{LEFT} {bottom}H{end}" stroke="#888" fill="none"/>'
    yield scale_mark(f"{panel.limit:g}", limit_y + 3)
    # Bars that are far higher than the line bring it down to the zero, and leave room above it.
    if bottom - limit_y > TITLE:
        yield scale_mark("0", bottom)
    if limit_y - top > TITLE:
        yield scale_mark(f"{highest:.0f}", top + 8)


def scale_mark(text: str, y: float) -> str:
    """A number beside a panel."""
    return f'<text x="{LEFT - 4}" y="{y:.2f}" text-anchor="end">{text}</text>'


def worst_of(panel: Panel, windows: Sequence[WindowFigures]) -> float | None:
    """The largest of some windows' figures; None where none is known."""
    return max((value for value in map(panel.of, windows) if value is not None), default=None)
