"""What a conversion says about the things that it did not carry over as they were."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a remark asks of the reader."""

    LOST = "lost"
    """Could not be carried over: the result differs."""

    CHANGED = "changed"
    """Carried over in another form: look at it."""

    MISSING = "missing file"
    """Carried over, but this ComfyUI has no such file."""

    NEEDLESS = "not needed"
    """Left out because ComfyUI or EverTalk does it by itself."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know about a conversion.

    Attributes:
        level: how much it asks of the reader.
        node: the node it is about, as `WanVideoSampler #128`; empty if about none.
        text: one sentence or two.
    """

    level: Level
    node: str
    text: str

    def __str__(self) -> str:
        about = f"{self.node}: " if self.node else ""
        return f"[{self.level.value}] {about}{self.text}"
