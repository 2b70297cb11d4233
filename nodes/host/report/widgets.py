"""Looks at widgets' values before a node uses them.

The host looks at what an API's JSON holds, but neither at a combo's choice (0.3.75), nor at NaN, nor at
anything that comes over a link.
"""

import sys
from collections.abc import Mapping
from typing import cast

from comfy_api.latest import io

from ....attention.plain_text import is_encodable
from ....multitalk.common.errors import InputError


def check_widgets(node: type[io.ComfyNode], values: Mapping[str, object]) -> None:
    """Refuse values that a node's widgets could not have been set to.

    Args:
        node: whose schema says what can be set.
        values: by widget; a widget that is left out is not looked at, and other inputs are not either.

    Raises:
        InputError: names the widget, what came and what is expected.
    """
    for widget in node.define_schema().inputs:
        if widget.id in values:
            check_widget(widget, values[widget.id])


def check_widget(widget: io.Input, value: object) -> None:
    """Refuse a value that a widget could not have been set to.

    Raises:
        InputError: names the widget, what came and what is expected.
    """
    check_kind(widget, value)
    name = widget.id
    match widget:
        case io.Combo.Input() if value not in (widget.options or ()):
            offered = ", ".join(str(option) for option in widget.options or ())
            raise InputError(f"{name}: {value!r} is unknown here. Choose one of {offered}.")
        case io.String.Input() if not is_encodable(cast("str", value)):
            raise InputError(
                f"{widget.id}: {value!r} has half a character (a lone surrogate). Type it again."
            )
        case io.Int.Input() | io.Float.Input():
            check_range(widget, cast("float", value))
        case _:
            pass


def check_kind(widget: io.Input, value: object) -> None:
    """Refuse what is not text for a text widget, and no number for one of numbers.

    The host converts values before it asks a node, but asks all the same where it could not.

    Raises:
        InputError: names the widget, what came and what is expected.
    """
    name = widget.id
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match widget:
        case io.Int.Input() if not is_number or not isinstance(value, int):
            raise InputError(f"{name}: {value!r} is not a whole number. Set the widget, or connect an INT.")
        case io.Float.Input() if not is_number:
            raise InputError(f"{name}: {value!r} is not a number. Set the widget, or connect a FLOAT.")
        case io.String.Input() if not isinstance(value, str):
            raise InputError(f"{name}: {value!r} is not text. Set the widget, or connect a STRING.")
        case _:
            pass


def check_range(widget: io.Int.Input | io.Float.Input, value: float) -> None:
    """Refuse a number beyond a widget's ends, NaN included.

    Raises:
        InputError: names the widget and its ends.
    """
    low, high = widget.min, widget.max
    assert low is not None
    assert high is not None, "the pack's number widgets have ends"
    if not low <= value <= high:
        # A whole number may be larger than any float, and cannot be shown as one then.
        shown = (
            f"{value:g}" if isinstance(value, float) or abs(value) <= sys.float_info.max else "far too large"
        )
        raise InputError(f"{widget.id}: {shown}, expected {low:g} to {high:g}. Choose a number in between.")
