"""Takes the quantisation of a GGUF file's tensors back, through the `gguf` package.

The values become float16: the file's scales are float16 themselves, and half the memory of float32.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .checkpoint import read_header
from .errors import CheckpointError

HELD_AS = torch.float16
SHOWN_ERROR = 200
"""Characters of another library's message, which may hold a name out of the file."""


def read_gguf_tensors(path: Path, name_of: Callable[[str], str | None]) -> dict[str, torch.Tensor]:
    """The tensors of the GGUF file at `path`, by the names that `name_of` gives them; None leaves one out.

    Seconds for a billion values: the package computes on the CPU, one tensor after the other.

    Raises:
        CheckpointError: the file is damaged, or quantised in a way that the installed package does not know.
    """
    read_header(path)  # the package's own reader believes what the file claims
    gguf: Any = importlib.import_module("gguf")
    tensors: dict[str, torch.Tensor] = {}
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise CheckpointError(
            f"`{path.name}` cannot be read by the `gguf` package: {str(error)[:SHOWN_ERROR]}. Delete it and "
            "download it again."
        ) from error
    for stored in reader.tensors:
        name = name_of(str(stored.name))
        if name is None:
            continue
        try:
            values = gguf.quants.dequantize(stored.data, stored.tensor_type)
        except NotImplementedError as error:
            raise CheckpointError(
                f"`{path.name}` holds `{stored.name}` as {stored.tensor_type.name}, which the installed "
                "`gguf` package cannot read. Run `pip install -U gguf` in ComfyUI's Python, or use a Q8_0 "
                "file."
            ) from error
        # GGUF lists the sizes of a tensor from the innermost on.
        shape = tuple(int(size) for size in reversed(stored.shape))
        # Values that were not quantised come as a view of the file, which must not be written to.
        tensors[name] = torch.from_numpy(values.copy()).reshape(shape).to(HELD_AS)
    return tensors
