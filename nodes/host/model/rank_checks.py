"""What cannot act where several GPUs make one evaluation: each sees only its share of tokens or of heads.

Refused by name; the same checks serve before weights load, on a MODEL's options, and in the call itself.
"""

from typing import Any

from ....multitalk.common.errors import InputError
from ..compat.wan_model import AFTER_BLOCK, ATTENDED, CROSSED
from .attention import override_of
from .block_patches import registered
from .connected import name_of, names_of

PATCHED = {
    ATTENDED: "changes what self-attention gave",
    CROSSED: "changes the tokens after the attention to text and picture",
    AFTER_BLOCK: "changes the tokens after a block",
}
_REMEDY = "Remove the node, or run on one GPU."


def check_options(transformer_options: dict[str, Any]) -> None:
    """Refuse nodes' patches and attention, which would be given a part where they expect the whole.

    Raises:
        InputError: names the patch and where it comes from.
    """
    for name, deed in PATCHED.items():
        if patches := registered(transformer_options, name):
            raise refusal(f"a node {deed} ({name}: {names_of(patches)})")
    for (_, number), replacement in transformer_options.get("patches_replace", {}).get("dit", {}).items():
        raise refusal(f"a node replaces block {number} ({name_of(replacement)})")
    override = override_of(transformer_options)
    if override is not None:
        raise refusal(f"a node put another attention on the MODEL ({name_of(override)})")


def check_budget_on_ranks(attention_budget: float) -> None:
    """Refuse sparse attention: what was found of each head is kept with the run, for all heads together.

    Raises:
        InputError: says what to choose.
    """
    if attention_budget:
        raise InputError(
            "attention_budget: sparse self-attention runs on one GPU alone, and this MODEL runs on several. "
            "Set attention_budget to 0, or run on one GPU."
        )


def refusal(what: str) -> InputError:
    """The sentence for a node that would see a part of the tokens or heads."""
    return InputError(
        f"model: {what}, but on several GPUs each has only its share of them, so that its result would be "
        f"another. {_REMEDY}"
    )
