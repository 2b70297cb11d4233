"""Widgets that most people leave alone: editors that draw nodes as elements of the page show them when asked.

One that holds something else than its default stays in sight (web/advanced.js).
"""

from typing import TypeVar

from comfy_api.latest import io

OPTION = "advanced"
"""What the editor calls them, that of ComfyUI 0.3.75 too, whose classes have no argument for it yet."""

Widget = TypeVar("Widget", bound=io.WidgetInput)


def advanced(widget: Widget) -> Widget:
    """The widget itself, marked; what its description holds besides stays."""
    widget.extra_dict = {**widget.extra_dict, OPTION: True}
    return widget
