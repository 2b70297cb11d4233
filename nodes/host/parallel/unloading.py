"""Hears that the host unloads all models, as its button Unload Models and many nodes ask it to.

The host tells a patcher whose model leaves the GPU, but only of models that it has loaded. Workers hold
theirs also while it has not loaded the MODEL: when a run was stopped before the MODEL's turn came, and when
the MODEL made room for the VAE.
"""

from collections.abc import Callable
from functools import wraps

import comfy.model_management


def hear_unloading(unloaded: Callable[[], None]) -> None:
    """From now on have `unloaded` called each time the host has unloaded all models."""
    unload = comfy.model_management.unload_all_models

    @wraps(unload)
    def unload_and_tell() -> None:
        unload()
        unloaded()

    # The host offers no hook for this, and all who unload call it by this name.
    comfy.model_management.unload_all_models = unload_and_tell
