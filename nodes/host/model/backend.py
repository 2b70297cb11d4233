"""The attention backend of a run: chosen once, replaced when it turns out to give no numbers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher

from ....attention.choice import AttentionChoice
from ....attention.protocol import Attention
from ....attention.registry import AUTO, COMFY, resolve, resolve_next
from ....attention.uses import LONG_KEYS
from ....multitalk.common.errors import WINDOWS_KEPT, EverTalkError
from ..compat.precision import computed_in
from ..compat.wan_model import preferred_attention_of
from .attention import host_attention, override_of
from .block_patches import patches_inside
from .connected import name_of
from .patcher import AudioAttachment

FIRST_STEP = "the first step gave NaN or infinite values"
LATER_STEP = "a later step gave NaN or infinite values"


class NotFiniteError(EverTalkError):
    """The model predicted NaN or infinite values.

    Args:
        message: what the person is told.
        reason: when, as FIRST_STEP, if that is not the message itself.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


@dataclass(frozen=True, slots=True)
class RunAttention:
    """The attention of a run: the backend that was chosen, and where it runs.

    Attributes:
        choice: what was asked for and what runs.
        device: of the run.
        dtype: of queries, keys and values.
        head_dim: of the model.
        tokens: of a window, the keys of self-attention.
        is_connected: what runs, if it is the host's, is what a node or the checkpoint put there.
    """

    choice: AttentionChoice
    device: torch.device
    dtype: torch.dtype
    head_dim: int
    tokens: int = LONG_KEYS
    is_connected: bool = False

    @property
    def attention(self) -> Attention | None:
        """The backend's callable; None is the host's own, which sees the patches of each call."""
        return None if self.choice.ran == COMFY else self.choice.attention

    def after_failure(self, reason: str) -> "RunAttention":
        """The next backend to try when this one gave NaN or infinite values.

        Raises:
            NotFiniteError: there is none left: the fault lies elsewhere.
        """
        is_lasting = not (self.is_connected and self.choice.ran == COMFY)
        where = (self.device, self.dtype, self.head_dim)
        choice = resolve_next(self.choice, reason, *where, is_lasting=is_lasting, tokens=self.tokens)
        if choice is None:
            raise NotFiniteError(
                f"model: {reason} with PyTorch's own attention too, so the weights or their precision are at "
                "fault. Choose compute 'bfloat16' and quantization 'bf16', check the LoRA's strength, or "
                f"download the model files again. {WINDOWS_KEPT}",
                reason,
            )
        return replace(self, choice=choice)


def backend_for(model: ModelPatcher, asked: str, tokens: int = LONG_KEYS) -> RunAttention:
    """Choose the backend for a MODEL and windows of so many tokens.

    Fallbacks are logged once, with their reason and remedy.

    What a node or the checkpoint put in place of the host's attention runs through that, so `auto` takes it.
    """
    tree = model.model.diffusion_model
    dtype = computed_in(model)
    head_dim = tree.dim // tree.num_heads
    is_connected = has_own_attention(model)
    name = COMFY if asked == AUTO and is_connected else asked
    choice = resolve(name, model.load_device, dtype, head_dim, host_attention({}), tokens)
    return RunAttention(
        replace(choice, asked=asked), model.load_device, dtype, head_dim, tokens, is_connected
    )


def attention_notes(model: ModelPatcher, attachment: AudioAttachment, ran: str) -> tuple[str, ...]:
    """Says whose attention runs where a node or the checkpoint has a say, and why blocks are not compiled."""
    asked, options = attachment.attention_mode, model.model_options["transformer_options"]
    override, preferred = override_of(options), checkpoint_attention(model)
    notes: list[str] = []
    if override is not None and ran == COMFY:
        notes.append(
            f"attention_mode {asked}: the attention that a node put on the MODEL runs: {name_of(override)}"
        )
    elif preferred is not None and ran == COMFY:
        notes.append(
            f"attention_mode {asked}: the attention that the checkpoint asks for runs: {name_of(preferred)}"
        )
    elif preferred is not None:
        notes.append(
            f"attention_mode {asked}: {ran} runs, not what the checkpoint asks for: {name_of(preferred)}"
        )
    if attachment.compile_blocks and ran == COMFY:
        notes.append("compile_blocks: blocks run uncompiled, since ComfyUI's own attention runs in them")
    elif attachment.compile_blocks and (patches := patches_inside(options)):
        notes.append(
            "compile_blocks: blocks run uncompiled, since other nodes' patches run in them: "
            f"{', '.join(map(name_of, patches))}"
        )
    return tuple(notes)


def has_own_attention(model: ModelPatcher) -> bool:
    """Whether a node put an attention on a MODEL, or its checkpoint was made for one."""
    override = override_of(model.model_options["transformer_options"])
    return override is not None or checkpoint_attention(model) is not None


def checkpoint_attention(model: ModelPatcher) -> Callable[..., Any] | None:
    """The attention that a MODEL's checkpoint was made for, where this machine has it."""
    blocks = model.model.diffusion_model.blocks
    layers = (layer for block in blocks for layer in (block.self_attn, block.cross_attn))
    return next((one for one in map(preferred_attention_of, layers) if one is not None), None)
