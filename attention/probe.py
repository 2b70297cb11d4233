"""Whether one backend can run somewhere, and if not, why and what to do about it."""

from . import self_test
from .backend import Backend
from .choice import AttentionSpec
from .hardware import Hardware

ADVICE = "choose auto for the fastest exact one here"


def unavailable_reason(backend: Backend, site: AttentionSpec, hardware: Hardware) -> str | None:
    """Why `backend` cannot run at `site` on `hardware`, and the remedy, as sentences; None if it can.

    Asks the cheapest questions first, and about the package only where the GPU could run it, so that nobody
    is told to install what would not help. Imports the package and runs its kernel on small tensors.
    """
    if not backend.runs_on(hardware):
        return f"this device ({hardware}) cannot run it. It needs {backend.needs}; {ADVICE}."
    if site.dtype not in backend.dtypes:
        accepted = " and ".join(str(dtype).removeprefix("torch.") for dtype in backend.dtypes)
        found = str(site.dtype).removeprefix("torch.")
        return f"it takes {accepted}, and this run has {found}. Load the model in one of these, or {ADVICE}."
    if backend.max_head_dim is not None and site.head_dim > backend.max_head_dim:
        return (
            f"it takes head dimensions up to {backend.max_head_dim}, and this model has {site.head_dim}. "
            f"For this model, {ADVICE}."
        )
    missing = backend.why_missing()
    if missing is not None:
        return f"{missing}. To use it, {backend.remedy}; or {ADVICE}."
    if backend.tolerance is None:
        return None
    failure = self_test.failure(backend.attention, site, backend.tolerance)
    return None if failure is None else f"{failure}. To use it, {backend.remedy} anew; or {ADVICE}."
