"""What the registry knows of one backend, and how the kernel packages are reached.

No kernel package is imported when this pack is: some take seconds, and a broken one must not take the pack
down.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch

from .hardware import Hardware
from .protocol import Attention

HALF_DTYPES = (torch.float16, torch.bfloat16)
ALL_DTYPES = (*HALF_DTYPES, torch.float32, torch.float64)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function of a package that may be absent."""

    module: str
    function: str

    def load(self) -> Callable[..., Any]:
        """Import it, or find it imported (about a microsecond); raises whatever the package raises."""
        return getattr(importlib.import_module(self.module), self.function)

    def is_loaded(self) -> bool:
        """Whether it is in memory already."""
        return hasattr(sys.modules.get(self.module), self.function)

    def why_missing(self) -> str | None:
        """Why it cannot be imported, as the end of a sentence, or None if it can."""
        try:
            self.load()
        except ModuleNotFoundError as error:
            if error.name is not None and f"{self.module}.".startswith(f"{error.name}."):
                return f"the package {self.module} is not installed"
            return f"importing {self.module} failed with ModuleNotFoundError: {error}"
        # Broken installs raise more than ImportError: a wheel built for another torch raises OSError or
        # RuntimeError, a compiler package of another version AttributeError. None of them may end a run.
        except Exception as error:  # noqa: BLE001
            return f"importing {self.module} failed with {first_line(error)}"
        return None


@dataclass(frozen=True, slots=True)
class KernelOfOnePackage:
    """A function that several packages have, of which one is enough: the first that can be imported."""

    kernels: tuple[Kernel, ...]

    def load(self) -> Callable[..., Any]:
        """The one that `why_missing` found, without looking for those that are absent at every call."""
        return next((kernel for kernel in self.kernels if kernel.is_loaded()), self.kernels[0]).load()

    def why_missing(self) -> str | None:
        """Why none can be imported, as the end of a sentence, or None if one can.

        A package that is there and broken is told rather than one that is not there.
        """
        reasons = list[str]()
        for kernel in self.kernels:
            reason = kernel.why_missing()
            if reason is None:
                return None
            reasons.append(reason)
        return next((reason for reason in reasons if not reason.endswith("is not installed")), reasons[0])


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to compute attention, what it needs and what stands in for it.

    `label` names it in log lines, `description` in the interface. `exact` is False where operands are
    quantised. `tolerance` is the largest relative error its self-test accepts, None for the reference itself.
    `why_missing` is the import probe: None, or the reason. `needs` says in words what `runs_on` checks.
    `remedy` is the imperative that makes a missing package present. `fallback` is the name of the next one to
    try. `may_be_long_only` is True where there are builds that are right over thousands of keys alone
    (uses.py): such a one runs there, and an exact kernel elsewhere; it is not `exact` itself, since `auto`
    takes exact ones at every length.
    """

    name: str
    label: str
    description: str
    exact: bool
    attention: Attention
    why_missing: Callable[[], str | None]
    runs_on: Callable[[Hardware], bool]
    needs: str
    remedy: str
    max_head_dim: int | None
    tolerance: float | None
    fallback: str | None
    dtypes: tuple[torch.dtype, ...] = HALF_DTYPES
    may_be_long_only: bool = False

    def __post_init__(self) -> None:
        assert not (self.exact and self.may_be_long_only), f"{self.name}: exact at every length or long only"


def first_line(error: Exception) -> str:
    """The error's type and the first line of its text (CUDA's go on for paragraphs), without a full stop."""
    text = str(error).strip().split("\n", maxsplit=1)[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def as_operator(
    name: str, run: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
) -> Attention:
    """Make `run` one opaque torch operator, evertalk::`name`, for kernels that torch.compile cannot trace.

    Without it each call into a kernel package breaks the graph of a compiled block. `run` must return a new,
    contiguous (B, Q, H, D) tensor in the dtype of the query and leave its inputs as they were.
    """
    operator = torch.library.custom_op(f"evertalk::{name}", run, mutates_args=())

    def shape_of_result(q_BQHD: torch.Tensor, _k_BKHD: torch.Tensor, _v_BKHD: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(q_BQHD, memory_format=torch.contiguous_format)

    operator.register_fake(shape_of_result)
    return cast(Attention, operator)
