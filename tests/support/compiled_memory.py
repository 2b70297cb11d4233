"""What a compiled function will hold at once, read from the code that torch generates for it.

Nothing is compiled or run: the memory is planned in that code, an allocation or a deletion a line. What a
library's attention or convolution takes inside is not seen.
"""

import re
import warnings
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from evertalk_pack.wanvideo.compiling import compiled
from torch._inductor import config
from torch._inductor.utils import get_code

ALLOCATED = re.compile(r"(\w+) = empty_strided_\w+\(\(([\d, ]*)\), .*, torch\.(\w+)\)")
LIBRARIES = ("extern_kernels.", "assert_size_stride(buf")
"""How lines begin at which a library's product, attention or convolution is being made."""

RETURNED = re.compile(r"assert_size_stride\((buf\d+), \(([\d, ]*)\)")
RENAMED = re.compile(r"(buf\d+) = (?:reinterpret_tensor\()?(buf\d+)\b.*; del \2")
DELETED = re.compile(r"del (buf\d+)")


def code_of(function: Callable[..., torch.Tensor], *inputs: Any, pointwise_cat: bool) -> str:
    """The code that torch generates for a call.

    Args:
        function: of one result.
        inputs: its arguments.
        pointwise_cat: joined tensors are computed as they are read. A GPU's code does so where no library
            reads them, a CPU's never.
    """
    torch.compiler.reset()
    # From a cache the code would come without being generated. The compiler warns of old parts of its own.
    settings = config.patch(force_pointwise_cat=pointwise_cat, force_disable_caches=True)
    with settings, torch.inference_mode(), warnings.catch_warnings(action="ignore"):
        codes = get_code(compiled(function), *inputs)
    graphs = [code for code in codes if "def call(" in code]
    assert len(graphs) == 1, f"{len(graphs)} graphs"
    return graphs[0]


def peak_bytes(code: str, kernel_dtype: torch.dtype, *, at: tuple[str, ...] = ("",)) -> int:
    """The most that is held at once of what the code makes.

    Args:
        code: of one graph.
        kernel_dtype: of what libraries return.
        at: looked at in lines that begin so.
    """
    live: dict[str, int] = {}
    peak = 0
    for line in code[code.rindex("def call(") :].splitlines():
        text = line.strip()
        if made := ALLOCATED.match(text):
            live[made[1]] = product(made[2]) * getattr(torch, made[3]).itemsize
        elif (made := RETURNED.match(text)) and made[1] not in live:
            live[made[1]] = product(made[2]) * kernel_dtype.itemsize
        elif (renamed := RENAMED.match(text)) and renamed[2] in live:
            live[renamed[1]] = live.pop(renamed[2])
        elif deleted := DELETED.match(text):
            live.pop(deleted[1], None)
        if text.startswith(at):
            peak = max(peak, sum(live.values()))
    return peak


def product(sizes: str) -> int:
    """Of the numbers in a tuple's text."""
    return prod(int(size) for size in sizes.split(",") if size.strip())
