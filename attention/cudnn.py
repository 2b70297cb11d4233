"""cuDNN's fused attention, reached through PyTorch: exact, and the fastest exact one on Hopper in our tests.

PyTorch holds it but seldom picks it by itself, hence a backend of its own. Needs a CUDA build of PyTorch 2.5
or later and an NVIDIA GPU from sm_80 on.
Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from . import sdpa
from .backend import Backend
from .self_test import EXACT_TOLERANCE


def attend(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    """Softmax attention by cuDNN alone; returns (B, Q, H, D).

    Raises:
        RuntimeError: PyTorch finds that cuDNN cannot take these tensors.
    """
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return sdpa.attend(q_BQHD, k_BKHD, v_BKHD)


def _why_missing() -> str | None:
    return None if torch.backends.cudnn.is_available() else "this PyTorch was built without cuDNN"


BACKEND = Backend(
    name="cudnn",
    label="cuDNN attention",
    description="PyTorch's attention, always by cuDNN. Exact; on an H100 the fastest of PyTorch's.",
    exact=True,
    attention=attend,
    why_missing=_why_missing,
    runs_on=lambda hardware: hardware.is_nvidia(range(8, 100)),
    needs="an NVIDIA GPU, sm_80 or later",
    remedy="install a CUDA build of PyTorch",
    max_head_dim=256,
    tolerance=EXACT_TOLERANCE,
    fallback="sdpa",
)
