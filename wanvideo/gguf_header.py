"""Reads the header of a GGUF file through the optional `gguf` package."""

import importlib
import importlib.util
from pathlib import Path

from .errors import CheckpointError
from .header import CheckpointHeader, TensorInfo

GGUF_MAGIC = b"GGUF"


def read_gguf_header(path: Path) -> CheckpointHeader:
    """Names, block types and shapes of the GGUF file at `path`; no tensor is loaded.

    Raises:
        CheckpointError: the `gguf` package is not installed, or cannot read the file.
    """
    if importlib.util.find_spec("gguf") is None:
        raise CheckpointError(
            f"`{path.name}` is a GGUF file, and the `gguf` package is not installed. Run `pip install gguf` "
            "in ComfyUI's Python, or use the .safetensors of this model."
        )
    gguf = importlib.import_module("gguf")
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise CheckpointError(
            f"`{path.name}` is not a usable GGUF file: {error}. Delete it and download it again."
        ) from error
    # GGUF lists the sizes of a tensor from the innermost on.
    tensors = {
        str(tensor.name): TensorInfo(tensor.tensor_type.name, tuple(int(n) for n in reversed(tensor.shape)))
        for tensor in reader.tensors
    }
    return CheckpointHeader(path.name, tensors, is_gguf=True)
