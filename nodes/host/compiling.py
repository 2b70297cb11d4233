"""What all that the pack compiles has in common."""

from collections.abc import Generator
from contextlib import contextmanager

import torch.compiler.config

RECOMPILE_LIMIT = 64
"""Graphs of one function that torch keeps. A residual block of the VAE has five a size of video; a block of
the transformer one for each size, number of voices, attention backend and set of weights that lie on the GPU.
Torch's own limit is eight: the ninth kind would run uncompiled, and only the log would say so."""


@contextmanager
def many_graphs() -> Generator[None]:
    """Let torch keep as many graphs as several sizes of video need."""
    limit = torch.compiler.config.recompile_limit
    torch.compiler.config.recompile_limit = RECOMPILE_LIMIT
    try:
        yield
    finally:
        torch.compiler.config.recompile_limit = limit
