"""The inputs of a node as a server describes them, and the values that the editor stores for its fields."""

from dataclasses import dataclass
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]

WIDGET_TYPES = ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")
PLAYER = "audio_upload"
UPLOAD_WIDGETS: dict[str, list[str | None]] = {
    "image_upload": ["image"],
    "video_upload": ["image"],
    PLAYER: [None, None],
}
"""What the editor adds behind the file's name: a button; for sound a player too."""
CONTROL_VALUE = "fixed"
"""What becomes of a seed after a run: the widget that the editor puts behind it."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a node, as the server describes it.

    Attributes:
        name: its name.
        kind: its socket type, such as MODEL, or the widget's: COMBO, INT, FLOAT, STRING, BOOLEAN.
        options: the rest of the description.
        is_optional: whether it may be left unconnected.
    """

    name: str
    kind: str
    options: JsonObject
    is_optional: bool

    @property
    def is_widget(self) -> bool:
        """Whether the editor shows a field for it."""
        return self.kind in WIDGET_TYPES and "forceInput" not in self.options

    @property
    def is_text(self) -> bool:
        """Whether that field is a box of several lines."""
        return self.kind == "STRING" and bool(self.options.get("multiline"))

    @property
    def first_value(self) -> Any:
        """What a new node's field holds: a choice without a default of its own is the first."""
        choices = self.options.get("options") or [None] if self.kind == "COMBO" else [None]
        return self.options.get("default", choices[0])

    @property
    def is_controlled(self) -> bool:
        """Whether a field that changes the value after a run stands behind it."""
        return bool(self.options.get("control_after_generate")) or (
            self.kind == "INT" and self.name in {"seed", "noise_seed"}
        )


def read_inputs(description: JsonObject) -> list[Input]:
    """The inputs of a node in the editor's order: sockets, then widgets."""
    inputs: list[Input] = []
    for group in ("required", "optional"):
        for name, (kind, *rest) in description["input"].get(group, {}).items():
            options = rest[0] if rest else {}
            if isinstance(kind, list):  # how the server describes the choices of older nodes
                kind, options = "COMBO", {**options, "options": kind}  # noqa: PLW2901
            inputs.append(Input(name, kind, options, group == "optional"))
    return sorted(inputs, key=lambda one: one.is_widget)


def is_link(value: object) -> bool:
    """Whether a value in API format means another node's output."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def widget_values(inputs: list[Input], given: JsonObject) -> list[Any]:
    """The values of a node's fields in the order in which the editor stores them."""
    values: list[Any] = []
    for one in inputs:
        if not one.is_widget:
            continue
        value = given.get(one.name, one.first_value)
        values.append(one.first_value if is_link(value) else value)
        values += [CONTROL_VALUE] if one.is_controlled else []
        values += [
            extra for name in UPLOAD_WIDGETS if one.options.get(name) for extra in UPLOAD_WIDGETS[name]
        ]
    return values
