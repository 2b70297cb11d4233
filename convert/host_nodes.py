"""What the ComfyUI that a workflow is converted for knows: its nodes, their inputs, the files they offer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from .widgets import CONTROLLED, CONTROLS

DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
"""A choice that brings inputs of its own: those of `mode` are called `mode.mask_1` and so on."""

AUTOGROW = "COMFY_AUTOGROW_V3"
"""As many inputs as are connected: those of `images` are called `images.image0` and so on."""

WIDGET_KINDS = ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN", "COLOR", DYNAMIC_COMBO)


@dataclass(frozen=True, slots=True)
class HostNodes:
    """The nodes of a ComfyUI.

    Attributes:
        inputs: for each class the `input` part of its description in /object_info: groups `required` and
            `optional` of `name: [kind, options]`.
        outputs: for each class the types of its outputs, where they are known.
    """

    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Sequence[object]] = field(default_factory=dict[str, Sequence[object]])

    @classmethod
    def of(cls, object_info: Mapping[str, Any]) -> "HostNodes":
        """From what /object_info answers."""
        inputs = {kind: description["input"] for kind, description in object_info.items()}
        return cls(inputs, {kind: about.get("output") or () for kind, about in object_info.items()})

    def has(self, kind: str) -> bool:
        """Whether there is such a node."""
        return kind in self.inputs

    def fields(self, kind: str, stored: Sequence[Any] = ()) -> list[str]:
        """The names of a node's fields, in the editor's order.

        Args:
            kind: the node's class.
            stored: the values that the editor saved; they say what is chosen where choices bring fields.
        """
        return list(_field_names(self._all(kind), "", list(stored)))

    def takes(self, kind: str, name: str) -> bool:
        """Whether a node has an input of a name, also one of those that come and go."""
        known, (first, dot, _) = self._all(kind), name.partition(".")
        return name in known or (bool(dot) and known.get(first, (None,))[0] in (DYNAMIC_COMBO, AUTOGROW))

    def required(self, kind: str) -> list[str]:
        """The names of the inputs that a node cannot do without."""
        inputs = self.inputs.get(kind, {}).get("required", {})
        return [name for name, (what, *_) in inputs.items() if what != AUTOGROW]

    def input_type(self, kind: str, name: str) -> str | None:
        """The type that an input of a node takes; None if it is a list of choices or not known."""
        what, *_ = self._all(kind).get(name, (None,))
        return what if isinstance(what, str) else None

    def output_types(self, kind: str) -> tuple[str, ...]:
        """The types of a node's outputs; empty if they are not known."""
        return tuple(what if isinstance(what, str) else "COMBO" for what in self.outputs.get(kind, ()))

    def choices(self, kind: str, field: str) -> list[str] | None:
        """What a field offers; None if it is not a list or not known."""
        what, *rest = self._all(kind).get(field, (None,))
        options: Any = what if isinstance(what, list) else (rest[0] if rest else {}).get("options")
        return [str(option) for option in options] if isinstance(options, list) else None  # pyright: ignore[reportUnknownArgumentType]

    def file(self, kind: str, field: str, name: str) -> str | None:
        """The choice that means a file: its name, or the same in another folder or with other slashes.

        None if the field's choices are known and it is none of them.
        """
        choices = self.choices(kind, field)
        if choices is None or name in choices:
            return name
        wanted = PurePosixPath(name.replace("\\", "/"))
        plain = {choice: PurePosixPath(choice.replace("\\", "/")) for choice in choices}
        alike = [choice for choice, path in plain.items() if path == wanted]
        alike += [choice for choice, path in plain.items() if path.name == wanted.name]
        return alike[0] if alike else None

    def _all(self, kind: str) -> dict[str, Any]:
        return _grouped(self.inputs.get(kind, {}))


def _grouped(groups: Mapping[str, Any]) -> dict[str, Any]:
    return {**groups.get("required", {}), **groups.get("optional", {})}


def _field_names(inputs: Mapping[str, Any], prefix: str, stored: list[Any]) -> Iterator[str]:
    """The fields among a node's inputs; takes their values off `stored` as it goes."""
    for name, (what, *rest) in inputs.items():
        if not isinstance(what, list) and what not in WIDGET_KINDS:
            continue
        yield prefix + name
        value = stored.pop(0) if stored else None
        if name in CONTROLLED and stored and stored[0] in CONTROLS:
            stored.pop(0)
        if what == DYNAMIC_COMBO:
            options = rest[0]["options"]
            chosen = next((one for one in options if one["key"] == value), options[0])
            yield from _field_names(_grouped(chosen["inputs"]), f"{prefix}{name}.", stored)
