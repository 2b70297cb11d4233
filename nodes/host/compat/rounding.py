"""Rounding to fp8 at random, seeded by a weight's name.

`string_to_seed` lies in comfy.utils from 0.12.0 on; comfy.model_patcher had it until then, and since then
only logs a warning of the move at each call.
"""

from typing import Any

import comfy.float
import comfy.model_patcher
import comfy.utils
import torch


def seed_of(name: str) -> int:
    """The seed that the host draws from a weight's name."""
    home: Any = comfy.utils if hasattr(comfy.utils, "string_to_seed") else comfy.model_patcher
    return home.string_to_seed(name)


def rounded_at_random(values: torch.Tensor, dtype: torch.dtype, name: str) -> torch.Tensor:
    """Values in a narrower precision, up or down at random so that their mean stays.

    Rounded to the nearest, most of a LoRA would vanish: its steps are smaller than fp8's.
    """
    return comfy.float.stochastic_rounding(values, dtype, seed=seed_of(name))
