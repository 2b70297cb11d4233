"""Whether one backend can run somewhere, and if not, why and what to do about it."""

from dataclasses import dataclass

from . import self_test
from .backend import Backend
from .choice import AttentionSpec
from .hardware import Hardware
from .plain_text import name_of_dtype
from .uses import LONG_KEYS

ADVICE = "choose auto for the fastest exact one here"


@dataclass(frozen=True, slots=True)
class Fitness:
    """What a backend is fit for somewhere.

    Attributes:
        unavailable_reason: why it cannot run there at all, and the remedy, as sentences; None if it can.
        few_keys: why it is left alone with few keys, as the end of a sentence, though it is right with
            `LONG_KEYS` or more; None if it is right with few too.
    """

    unavailable_reason: str | None
    few_keys: str | None = None

    def why_not(self, tokens: int) -> str | None:
        """Why it cannot run where self-attention has so many keys, or None if it can."""
        if self.unavailable_reason is None and self.few_keys is not None and tokens < LONG_KEYS:
            return (
                f"{self.few_keys}; it is right with {LONG_KEYS} keys or more, and a window of this size has "
                f"{tokens}. Choose a larger size, or {ADVICE}."
            )
        return self.unavailable_reason


def fitness(backend: Backend, spec: AttentionSpec, hardware: Hardware) -> Fitness:
    """What `backend` is fit for at `spec` on `hardware`.

    Asks the cheapest questions first, and about the package only where the GPU could run it, so that nobody
    is told to install what would not help. Imports the package and runs its kernel on small tensors.
    """
    if (unfit := _unfit(backend, spec, hardware)) is not None:
        return Fitness(unfit)
    if backend.tolerance is None:
        return Fitness(None)
    few = self_test.failure(backend.attention, spec, backend.tolerance, self_test.FEW_KEYS)
    if few is not None and not backend.may_be_long_only:
        return Fitness(_after(few, backend))
    many = self_test.failure(backend.attention, spec, backend.tolerance, self_test.MANY_KEYS)
    if many is not None:
        return Fitness(_after(few or many, backend))
    return Fitness(None, few)


def _after(failure: str, backend: Backend) -> str:
    return f"{failure}. To use it, {backend.remedy} anew; or {ADVICE}."


def _unfit(backend: Backend, spec: AttentionSpec, hardware: Hardware) -> str | None:
    if not backend.runs_on(hardware):
        return f"this device ({hardware}) cannot run it. It needs {backend.needs}; {ADVICE}."
    if spec.dtype not in backend.dtypes:
        accepted = " and ".join(map(name_of_dtype, backend.dtypes))
        found = name_of_dtype(spec.dtype)
        return f"it takes {accepted}, and this run has {found}. Choose one of these for compute, or {ADVICE}."
    if backend.max_head_dim is not None and spec.head_dim > backend.max_head_dim:
        return (
            f"it takes head dimensions up to {backend.max_head_dim}, and this model has {spec.head_dim}. "
            f"For this model, {ADVICE}."
        )
    missing = backend.why_missing()
    if missing is not None:
        return f"{missing}. To use it, {backend.remedy}; or {ADVICE}."
    return None
