"""The attention backend of a run: chosen once, replaced when it turns out to give no numbers."""

from dataclasses import dataclass

import torch
from comfy.model_patcher import ModelPatcher

from ...attention.choice import AttentionChoice
from ...attention.protocol import Attention
from ...attention.registry import COMFY, resolve, resolve_next
from ...multitalk.errors import EverTalkError
from .attention import host_attention


class NotFiniteError(EverTalkError):
    """The model predicted NaN or infinite values."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A chosen backend and where it runs.

    Attributes:
        choice: what was asked for and what runs.
        device: of the run.
        dtype: of queries, keys and values.
        head_dim: of the model.
    """

    choice: AttentionChoice
    device: torch.device
    dtype: torch.dtype
    head_dim: int

    @property
    def attention(self) -> Attention | None:
        """The backend's callable; None is the host's own, which sees the patches of each call."""
        return None if self.choice.ran == COMFY else self.choice.attention

    def after_failure(self) -> "Backend":
        """The next backend to try when this one gave NaN or infinite values.

        Raises:
            NotFiniteError: there is none left: the fault lies elsewhere.
        """
        reason = "the first step gave NaN or infinite values"
        choice = resolve_next(self.choice, reason, self.device, self.dtype, self.head_dim)
        if choice is None:
            raise NotFiniteError(
                "model: the first step gave NaN or infinite values with PyTorch's own attention too, so the "
                "weights or their precision are at fault. Choose quantization 'bf16', check the LoRA's "
                "strength, or "
                "download the model files again."
            )
        return Backend(choice, self.device, self.dtype, self.head_dim)


def backend_for(model: ModelPatcher, asked: str) -> Backend:
    """Choose the backend for a MODEL; fallbacks are logged once, with their reason and remedy."""
    tree = model.model.diffusion_model
    dtype = model.model.manual_cast_dtype or model.model.get_dtype()
    head_dim = tree.dim // tree.num_heads
    choice = resolve(asked, model.load_device, dtype, head_dim, host_attention({}))
    return Backend(choice, model.load_device, dtype, head_dim)
