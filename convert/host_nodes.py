"""What the ComfyUI that a workflow is converted for knows: its nodes, their inputs, the files they offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

WIDGET_KINDS = ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")


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

    def fields(self, kind: str) -> list[str]:
        """The names of a node's fields, in the editor's order."""
        return [name for name, (what, *_) in self._all(kind).items() if _is_field(what)]

    def names(self, kind: str) -> set[str]:
        """The names of all inputs of a node."""
        return set(self._all(kind))

    def required(self, kind: str) -> list[str]:
        """The names of the inputs that a node cannot do without."""
        return list(self.inputs[kind].get("required", {})) if self.has(kind) else []

    def input_type(self, kind: str, name: str) -> str | None:
        """The type that an input of a node takes; None if it is a list of choices or not known."""
        what, *_ = self._all(kind).get(name, (None,))
        return what if isinstance(what, str) else None

    def output_types(self, kind: str) -> tuple[str, ...]:
        """The types of a node's outputs; empty if they are not known."""
        return tuple(what if isinstance(what, str) else "COMBO" for what in self.outputs.get(kind, ()))

    def choices(self, kind: str, field: str) -> list[str] | None:
        """What a field offers; None if it is no list or not known."""
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
        groups = self.inputs.get(kind, {})
        return {**groups.get("required", {}), **groups.get("optional", {})}


def _is_field(what: object) -> bool:
    return isinstance(what, list) or what in WIDGET_KINDS
