"""What all that the pack compiles has in common."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.compiler.config

Function = TypeVar("Function", bound=Callable[..., Any])

RECOMPILE_LIMIT = 64
"""Graphs of one function that torch keeps. A residual block of the VAE has five a size of video; a block of
the transformer one for each size, number of voices, attention backend and set of weights that lie on the GPU.
Torch's own limit is eight: the ninth kind would run uncompiled, and only the log would say so."""

LONGEST_EXPRESSION = 48
"""Operations that go into one kernel before torch's compiler writes down what it has. A norm and the rotation
after it are more than its own 30: the rotated queries and keys would first be written in float32."""


def compiled(function: Function) -> Function:
    """The function, compiled when it is first called, and again for each set of shapes."""
    from torch import _inductor  # noqa: PLC0415  # half a second that only this takes

    # Torch refuses names that it does not know, and it may come to give this one up.
    wanted = {"realize_opcount_threshold": LONGEST_EXPRESSION}
    known = set(_inductor.list_options())
    options = {name: value for name, value in wanted.items() if name in known}
    return torch.compile(function, dynamic=False, options=options)  # pyright: ignore


def stored(x: torch.Tensor) -> torch.Tensor:
    """X itself, in a compiled graph written to memory once.

    Without this, torch's compiler writes a copy for each of several readers, and what led to it in float32.
    """
    return x.as_strided(x.shape, x.stride()) if torch.compiler.is_compiling() else x


@contextmanager
def many_graphs() -> Generator[None]:
    """Let torch keep as many graphs as several sizes of video need."""
    limit = torch.compiler.config.recompile_limit
    torch.compiler.config.recompile_limit = RECOMPILE_LIMIT
    try:
        yield
    finally:
        torch.compiler.config.recompile_limit = limit
