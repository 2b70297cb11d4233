"""A workflow of WanVideoWrapper as the converter reads it: nodes whose inputs are values or links."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Link:
    """An output of a node.

    Attributes:
        node: the node's id.
        slot: which of its outputs.
    """

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class SourceNode:
    """A node of the workflow that is converted.

    Attributes:
        id: its id there.
        kind: its class, such as `WanVideoSampler`.
        title: what its title bar says.
        inputs: values and links by the inputs' names.
        input_types: the types of its inputs by name, where the editor saved them.
        output_types: the types of its outputs, where the editor saved them.
    """

    id: str
    kind: str
    title: str
    inputs: Mapping[str, object]
    input_types: Mapping[str, str] = field(default_factory=dict[str, str])
    output_types: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How remarks call it."""
        return f"{self.kind} #{self.id}"

    def link(self, name: str) -> Link | None:
        """What is connected to an input."""
        value = self.inputs.get(name)
        return value if isinstance(value, Link) else None

    def links(self) -> dict[str, Link]:
        """What is connected, by the inputs' names."""
        return {name: value for name, value in self.inputs.items() if isinstance(value, Link)}

    def text(self, name: str, default: str = "") -> str:
        """A text or a choice; the default where there is none."""
        value = self.inputs.get(name, default)
        return value if isinstance(value, str) else default


@dataclass(frozen=True, slots=True)
class Source:
    """The workflow that is converted.

    Attributes:
        nodes: its nodes by id, in its own order.
        left_out: titles of notes and of nodes that are switched off.
    """

    nodes: Mapping[str, SourceNode]
    left_out: tuple[str, ...] = ()
    _taken: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        links = (value for node in self.nodes.values() for value in node.inputs.values())
        taken = frozenset(value.node for value in links if isinstance(value, Link))
        object.__setattr__(self, "_taken", taken)  # once: with thousands of nodes it is asked for each

    def of_kind(self, *kinds: str) -> list[SourceNode]:
        """The nodes of some classes."""
        return [node for node in self.nodes.values() if node.kind in kinds]

    def is_taken(self, node_id: str) -> bool:
        """Whether any node takes an output of a node."""
        return node_id in self._taken


def is_wrappers(kind: str) -> bool:
    """Whether a node is WanVideoWrapper's."""
    return "WanVideo" in kind or kind.startswith("MultiTalk") or kind.endswith("Wav2VecModel")
