"""Which of the changes on a model's weights can act at all: a change of another size is left out by the host.

It says so in the log alone (0.3.75 for each weight, each time that the model loads), and the run goes on.
"""

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, cast

import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from comfy.weight_adapter import WeightAdapterBase
from comfy.weight_adapter.loha import LoHaAdapter
from comfy.weight_adapter.lokr import LoKrAdapter
from comfy.weight_adapter.lora import LoRAAdapter
from torch import nn

Shape = tuple[int, ...]


def misfits(model: ModelPatcher, patches: Mapping[Any, Any]) -> dict[str, str]:
    """The weights that a change does not fit, each with both sizes in words.

    Args:
        model: whose weights are changed.
        patches: what the host makes of a LoRA: the change of each weight, by its name.
    """
    found: dict[str, str] = {}
    for key, value in patches.items():
        if not isinstance(key, str):  # a part of a weight
            continue
        ours, its = weight_size(model, key), change_size(value)
        if ours is not None and its is not None and its != matching(ours, value):
            found[key] = f"{in_words(its)}, expected {in_words(matching(ours, value))}"
    return found


def matching(size: Shape, value: Any) -> Shape:
    """A weight's size as a change of this kind sees it: rows and columns, or as it is."""
    return (size[0], prod(size[1:])) if isinstance(value, WeightAdapterBase) else size


def weight_size(model: ModelPatcher, key: str) -> Shape | None:
    """How large a weight is by its layer, for packed weights have other sizes; None: there is none."""
    layer_name, _, name = key.rpartition(".")
    try:
        layer = comfy.utils.get_attr(model.model, layer_name)
        weight = getattr(layer, name, None)
    except AttributeError:
        return None
    if isinstance(layer, nn.Linear) and name == "weight":
        return layer.out_features, layer.in_features
    return tuple(weight.shape) if isinstance(weight, torch.Tensor) else None


def change_size(value: Any) -> Shape | None:
    """How large what is added to a weight is: rows and columns for products; None: only the host can tell."""
    if isinstance(value, WeightAdapterBase):
        return factors_size(value)
    if isinstance(value, tuple) and len(value) == 2 and value[0] in ("diff", "set"):
        tensors = cast("tuple[Any, ...]", value[1])
        return tuple(tensors[0].shape) if len(tensors) == 1 else None
    return None


def factors_size(value: WeightAdapterBase) -> Shape | None:
    """Rows and columns of the product of a LoRA, LoHa or LoKr; None for the others and for convolutions."""
    factors = cast("tuple[Any, ...]", value.weights)
    if isinstance(value, LoRAAdapter):
        up, down, _, mid, _, reshape = factors
        fits = prod(up.shape[1:]) == down.shape[0]
        plain = mid is None and reshape is None
        return ((up.shape[0], prod(down.shape[1:])) if fits else (0, 0)) if plain else None
    if isinstance(value, LoHaAdapter) and factors[5] is None:
        return factors[0].shape[0], prod(factors[1].shape[1:])
    if isinstance(value, LoKrAdapter) and factors[7] is None:
        w1, w2, _, w1_a, w1_b, w2_a, w2_b = factors[:7]
        first, second = product_size(w1, w1_a, w1_b), product_size(w2, w2_a, w2_b)
        return first[0] * second[0], first[1] * second[1]
    return None


def product_size(whole: Any, left: Any, right: Any) -> Shape:
    """Rows and columns of a matrix that is given whole, or as a product."""
    if whole is not None:
        return whole.shape[0], prod(whole.shape[1:])
    return left.shape[0], prod(right.shape[1:])


def in_words(size: Iterable[int]) -> str:
    """A size as people write it, such as 5120x1536."""
    return "x".join(str(side) for side in size)
