"""The state of one conversion: what is read, what is made, and what is said about it."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from .errors import ConvertError
from .host_nodes import HostNodes
from .passing import Passed, passed, passed_unchanged
from .remarks import Level, Remark
from .source import Link, Source, SourceNode, is_wrappers

Translator: TypeAlias = "Callable[[Work, SourceNode, int], Link | None]"
"""A node and one of its outputs -> what gives the same in the workflow that is made; None if nothing does."""

NameRule: TypeAlias = Callable[[str], str]
"""A filename_prefix -> what EverTalk Sampler would say against it; empty if it takes it."""


def no_rule(_prefix: str) -> str:
    """Takes every filename_prefix; the queue checks it."""
    return ""


class Work:
    """One conversion.

    Args:
        source: the workflow that is converted.
        host: the ComfyUI it is converted for.
        translators: by class, for nodes that become others.
        copy: for all other nodes.
        name_rule: what may be the name of a video.
    """

    def __init__(
        self,
        source: Source,
        host: HostNodes,
        translators: Mapping[str, Translator],
        copy: Translator,
        name_rule: NameRule,
    ) -> None:
        self.source = source
        self.host = host
        self.name_rule = name_rule
        self.made: dict[str, dict[str, Any]] = {}
        self.seen: set[str] = set()
        self._translators = translators
        self._copy = copy
        self._known: dict[Link, Link | None] = {}
        self._made_for: dict[str, str] = {}
        self._remarks: dict[Remark, None] = {}

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was said, each thing once, losses first."""
        order = list(Level)
        return tuple(sorted(self._remarks, key=lambda remark: order.index(remark.level)))

    def lost(self, node: SourceNode | None, text: str) -> None:
        """Say what could not be carried over."""
        self._say(Level.LOST, node, text)

    def changed(self, node: SourceNode | None, text: str) -> None:
        """Say what was carried over in another form."""
        self._say(Level.CHANGED, node, text)

    def needless(self, node: SourceNode | None, text: str) -> None:
        """Say what was left out because ComfyUI or EverTalk does it by itself."""
        self._say(Level.NEEDLESS, node, text)

    def _say(self, level: Level, node: SourceNode | None, text: str) -> None:
        self._remarks[Remark(level, node.name if node else "", text)] = None

    def add(self, kind: str, title: str, inputs: Mapping[str, object]) -> str:
        """Make a node; its id. Inputs that are None are left out."""
        node_id = str(len(self.made) + 1)
        given = {name: _api(value) for name, value in inputs.items() if value is not None}
        self.made[node_id] = {"class_type": kind, "inputs": given, "_meta": {"title": title}}
        return node_id

    def set(self, node_id: str, name: str, value: object) -> None:
        """Change an input of a node that was made."""
        self.made[node_id]["inputs"][name] = _api(value)

    def origin(self, link: Link) -> Link:
        """Where a link comes from, before all nodes that hand on what they get as it is.

        Raises:
            ConvertError: those nodes go in a circle.
        """
        for _ in range(len(self.source.nodes) + 1):
            node = self.source.nodes.get(link.node)
            if node is None or node.kind in self._translators:
                return link
            before = passed_unchanged(self.host, self.source, link)
            if before is None:
                return link
            self.seen.add(node.id)
            self.needless(node, "it hands on what it gets; left out")
            link = before.link
        raise ConvertError(f"{link.node}: it gets what it gives itself; connect it to another node's output")

    def node_of(self, value: object) -> SourceNode | None:
        """The node that a link comes from, which is thereby accounted for."""
        if not isinstance(value, Link):
            return None
        node = self.source.nodes.get(self.origin(value).node)
        if node is not None:
            self.seen.add(node.id)
        return node

    def hands_on(self, node: SourceNode) -> bool:
        """Whether a node's first output is what it gets, untouched."""
        return passed_unchanged(self.host, self.source, Link(node.id, 0)) is not None

    def passed(self, link: Link) -> Passed | None:
        """What the node that a link comes from gets of the same type; None if that is not known."""
        return passed(self.host, self.source, self.origin(link))

    def node_behind(self, value: object, kinds: Collection[str]) -> SourceNode | None:
        """The node of some classes that a link comes from, through others that keep the type.

        Where it comes from none of them: the node that it comes from.
        """
        first, between = self.node_of(value), list[SourceNode]()
        node = first
        while node is not None and node.kind not in kinds and isinstance(value, Link):
            before = self.passed(value)
            if before is None or node in between:
                return first
            between.append(node)
            value = before.link
            node = self.node_of(value)
        for one in between:
            self.lost(one, "what it does has no counterpart; left out, and what it gets is used")
        return node

    def follow(self, value: object) -> Link | None:
        """What gives the same as a link of the source; made if it does not stand yet."""
        if not isinstance(value, Link):
            return None
        value = self.origin(value)
        if value in self._known:
            return self._known[value]
        node = self.node_of(value)
        if node is None:
            return None
        self._known[value] = None  # a circle ends here instead of never
        translate = self._translators.get(node.kind, self._copy)
        self._known[value] = translate(self, node, value.slot)
        return self._known[value]

    def know(self, source: Link, made: Link) -> None:
        """Remember what gives the same as an output of the source."""
        self._known[source] = made

    def made_for(self, node: SourceNode) -> str | None:
        """The id of what was made for a node, if it was remembered."""
        return self._made_for.get(node.id)

    def remember(self, node: SourceNode, made: str) -> str:
        """Remember what was made for a node; gives it back."""
        self._made_for[node.id] = made
        return made

    def is_result(self, made: Link) -> bool:
        """Whether frames come from EverTalk Decode, in spite of anything done to them after it."""
        node = self.made[made.node]
        names = [name for name in ("image", "images") if isinstance(node["inputs"].get(name), list)]
        if not names:
            return node["class_type"] == "EverTalkDecode"
        return self.is_result(Link(*node["inputs"][names[0]]))

    def needed(self, node: SourceNode, name: str, what: str, kinds: Collection[str]) -> SourceNode:
        """The node of some classes at an input that nothing works without; another where none is there.

        Raises:
            ConvertError: nothing is connected, or a node of another pack that is not known.
        """
        found = self.node_behind(node.link(name), kinds)
        if found is None:
            raise ConvertError(
                f"{node.name}: nothing is connected to {name}; connect {what} and convert again"
            )
        if found.kind not in kinds and not is_wrappers(found.kind):
            raise ConvertError(
                f"{found.name}: it comes before {name} of {node.name}, and its output there is unknown. "
                f"Connect {what} to {name} directly and convert again"
            )
        return found

    def file(self, kind: str, field: str, name: str, node: SourceNode) -> str:
        """A file's name as this ComfyUI lists it; says so if it has none."""
        found = self.host.file(kind, field, name)
        if found is None:
            self._say(
                Level.MISSING,
                node,
                f"`{name}` is not among the files that {kind} offers here; put it there or choose another",
            )
        return found or name


def _api(value: object) -> object:
    return [value.node, value.slot] if isinstance(value, Link) else value
