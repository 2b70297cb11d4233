"""Draws how five minutes of film keep: demo/models/five_minutes.json as docs/five_minutes.svg.

python scripts/plot_record.py
"""

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "demo" / "models" / "five_minutes.json"
PLOT = ROOT / "docs" / "five_minutes.svg"

WIDTH, LEFT, RIGHT = 720, 60, 12
PANEL, GAP, TOP = 90, 42, 26
"""In pixels of the picture."""

SECONDS_A_TICK = 60


@dataclass(frozen=True, slots=True)
class Panel:
    """One line over time.

    Attributes:
        title: above it.
        key: in the record.
        highest: end of its scale, which begins at 0.
        limit: what is wanted, drawn dashed.
    """

    title: str
    key: str
    highest: float
    limit: float


PANELS = (
    Panel("Colour drift, the worst of four films (of 1; wanted: below 0.01)", "largest_drift", 0.012, 0.01),
    Panel("Mouth and voice, correlation in each window (wanted: above 0.85)", "correlation", 1.0, 0.85),
    Panel("Change across a join, in median frames (wanted: below 1.5)", "join", 2.0, 1.5),
)


def points_of(values: list[float | None], panel: Panel, top: float, step: float) -> str:
    """The line's points; windows in which nobody speaks are left out."""
    return " ".join(
        f"{LEFT + (index + 0.5) * step:.1f},{top + PANEL * (1 - value / panel.highest):.1f}"
        for index, value in enumerate(values)
        if value is not None
    )


def draw_panel(panel: Panel, values: list[float | None], top: float, seconds: float) -> list[str]:
    """A panel's SVG elements."""
    inner = WIDTH - LEFT - RIGHT
    limit = top + PANEL * (1 - panel.limit / panel.highest)
    line = points_of(values, panel, top, inner / len(values))
    lines = [
        f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{panel.title}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{inner}" height="{PANEL}" fill="#f6f7f9" stroke="#c5c9d0"/>',
        f'<path d="M{LEFT} {limit:.1f}h{inner}" stroke="#b3402e" stroke-dasharray="5 4"/>',
        f'<text x="{LEFT - 6}" y="{limit + 4:.1f}" text-anchor="end">{panel.limit:g}</text>',
        f'<text x="{LEFT - 6}" y="{top + PANEL + 4}" text-anchor="end">0</text>',
        f'<polyline points="{line}" fill="none" stroke="#1d5fa8"/>',
    ]
    for second in range(0, int(seconds) + 1, SECONDS_A_TICK):
        x = LEFT + inner * second / seconds
        lines.append(
            f'<text x="{x:.0f}" y="{top + PANEL + 15}" text-anchor="middle">{second // 60} min</text>'
        )
    return lines


def main() -> None:
    """Read the record and write the picture."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    lines: list[str] = []
    for index, panel in enumerate(PANELS):
        values = record[panel.key]
        seconds = len(record["largest_drift"]) * record["seconds_a_window"]
        lines += draw_panel(panel, values, TOP + index * (PANEL + GAP), seconds)
    height = TOP + len(PANELS) * (PANEL + GAP)
    style = 'font-family="sans-serif" font-size="12" fill="#222"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" {style}>'
    PLOT.write_text("\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *lines, "</svg>\n"]))
    print(f"plot: {PLOT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
