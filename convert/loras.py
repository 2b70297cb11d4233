"""LoRAs: WanVideoWrapper's chains of selections as a list."""

from dataclasses import dataclass

from .constants import number
from .settings import account_for
from .source import SourceNode
from .work import Work

NONE = "none"
MULTI_ROWS = 5
ROWS: dict[str, tuple[tuple[str, str], ...]] = {
    "WanVideoLoraSelect": (("lora", "strength"),),
    "WanVideoLoraSelectByName": (("lora_name", "strength"),),
    "WanVideoLoraSelectMulti": tuple((f"lora_{row}", f"strength_{row}") for row in range(MULTI_ROWS)),
}
"""For each selection of LoRAs, the fields of a name and of its strength."""


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA file and its strength."""

    name: str
    strength: float
    node: SourceNode


def loras_of(work: Work, value: object) -> list[Lora]:
    """The LoRAs of a selection and of those before it, in the order in which they are applied."""
    node = work.node_behind(value, ROWS)
    if node is None:
        return []
    rows = ROWS.get(node.kind)
    if rows is None:
        work.lost(node, "its LoRAs are not known; add ComfyUI's Load LoRA for each")
        return []
    account_for(work, node, {"prev_lora", *(name for row in rows for name in row)})
    own = [_lora(work, node, name, strength) for name, strength in rows]
    return loras_of(work, node.link("prev_lora")) + [lora for lora in own if lora.name and lora.strength]


def _lora(work: Work, node: SourceNode, name: str, strength: str) -> Lora:
    file = node.text(name, NONE)
    value = number(work, node, strength, 1.0)
    if isinstance(node.inputs.get(strength), list):
        work.lost(node, f"{strength} changes with the steps, which has no counterpart: 1 is used")
    return Lora("" if file == NONE else file, round(value, 4), node)
