"""Reads the header of a GGUF file; the optional `gguf` package says what its types are called and take."""

import importlib
import importlib.util
import math
from pathlib import Path
from typing import Any

from .errors import CheckpointError
from .gguf_file import GGUF_MAGIC, GgufDamageError, GgufTensor, GgufWalk
from .header import CheckpointHeader, TensorInfo
from .header_limits import short
from .plain_file import open_plain

__all__ = ["GGUF_MAGIC", "read_gguf_header"]


def read_gguf_header(path: Path) -> CheckpointHeader:
    """Names, block types and shapes of the GGUF file at `path`; no tensor is loaded.

    Raises:
        CheckpointError: the `gguf` package is not installed, or the file is damaged.
        OSError: it is not a plain file, or cannot be read.
    """
    if importlib.util.find_spec("gguf") is None:
        raise CheckpointError(
            f"`{path.name}` is a GGUF file, and the `gguf` package is not installed. Run `pip install gguf` "
            "in ComfyUI's Python, or use the .safetensors of this model."
        )
    gguf: Any = importlib.import_module("gguf")
    try:
        with open_plain(path) as file:
            walk = GgufWalk(file)
        spans: list[tuple[int, int]] = []
        tensors: dict[str, TensorInfo] = {}
        for tensor in walk.tensors:
            kind, num_bytes = _kind_and_bytes(gguf, tensor)
            spans.append((tensor.offset, tensor.offset + num_bytes))
            # GGUF lists the sizes of a tensor from the innermost on.
            tensors[tensor.name] = TensorInfo(kind, tuple(reversed(tensor.sizes)))
        _check_spans(spans, walk.data_bytes)
    except GgufDamageError as error:
        raise CheckpointError(
            f"`{path.name}` is not a usable GGUF file: {error}. Delete it and download it again."
        ) from error
    return CheckpointHeader(path.name, tensors, is_gguf=True)


def _kind_and_bytes(gguf: Any, tensor: GgufTensor) -> tuple[str, int]:
    """What a tensor's type is called, and how many bytes the tensor takes."""
    try:
        kind = gguf.GGMLQuantizationType(tensor.kind)
    except ValueError as error:
        raise GgufDamageError(
            f"{short(tensor.name)} has the type {tensor.kind}, which the installed `gguf` package lacks"
        ) from error
    block_values, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if tensor.sizes and tensor.sizes[0] % block_values:
        raise GgufDamageError(
            f"{short(tensor.name)} has rows of {tensor.sizes[0]}, not whole {kind.name} blocks"
        )
    return kind.name, -(-math.prod(tensor.sizes) // block_values) * block_bytes


def _check_spans(spans: list[tuple[int, int]], data_bytes: int) -> None:
    """All tensors' bytes lie in the file, and no two tensors share any."""
    last = 0
    for begin, end in sorted(spans):
        if begin < last:
            raise GgufDamageError(f"its tensors overlap at byte {begin}")
        last = max(last, end)
    if last > data_bytes:
        raise GgufDamageError(f"its tensors end at byte {last} of {data_bytes}: the file is cut off")
