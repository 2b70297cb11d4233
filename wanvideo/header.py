"""What is in a model file, without its tensors' values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class TensorInfo(NamedTuple):
    """One tensor's type, as the file spells it (`F16`, `F8_E4M3`, `Q8_0`), and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CheckpointHeader:
    """The names, types and shapes in a model file.

    Attributes:
        file_name: the file's name without its folder, for messages.
        tensors: what is stored, by name.
        metadata: the file's own remarks (text by text); may be empty.
        remarks: on how a layer is quantised, by the layer's name, where a tensor of the file says it.
        is_gguf: the file is GGUF, whose tensors are block-quantised.
        config: of a model folder, what its config.json says; of a file nothing.
    """

    file_name: str
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    remarks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    is_gguf: bool = False
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor `name`, which must be there."""
        return self.tensors[name].shape
