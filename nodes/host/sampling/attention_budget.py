"""Sparse self-attention within a budget of error, for a run: what it needs, and what it tells."""

from comfy.model_patcher import ModelPatcher

from ....attention.budget import AttentionBudget
from ....attention.choice import AttentionSpec
from ....attention.registry import AUTO, COMFY
from ....attention.sparse import sparse_kernel
from ....multitalk.common.errors import InputError
from ..model.backend import RunAttention, has_own_attention
from ..model.patcher import AudioAttachment
from ..report.budget_report import BudgetReport
from ..report.progress import show_on_node
from ..report.record import note_budget


def check_budget(model: ModelPatcher, attachment: AudioAttachment) -> None:
    """Refuse a budget where the host's attention runs, which may be anybody's.

    Raises:
        InputError: says what to choose instead.
    """
    mode = attachment.attention_mode
    if not attachment.attention_budget or mode not in (AUTO, COMFY):
        return
    if mode == COMFY or has_own_attention(model):
        raise InputError(
            f"attention_budget: {attachment.attention_budget:g} % is chosen, and with attention_mode {mode} "
            "ComfyUI's own attention runs, or one that a node or the checkpoint put in its place. Choose "
            "another attention_mode, for instance sdpa, or set attention_budget to 0."
        )


def budget_for(
    attachment: AudioAttachment, backend: RunAttention, windows: int
) -> tuple[AttentionBudget | None, tuple[str, ...]]:
    """The sparse self-attention of a run, or None; and why there is none though it was asked for."""
    percent = attachment.attention_budget
    if not percent:
        return None, ()
    if windows == 1:
        why_not = (
            "a run of one window computes it exactly, since the first window finds out what may be sparse"
        )
        return None, (f"attention_budget {percent:g} % is without effect: {why_not}",)
    spec = AttentionSpec(backend.device, backend.dtype, backend.head_dim)
    kernel = sparse_kernel(spec, backend.tokens)
    if isinstance(kernel, str):
        return None, (f"attention_budget {percent:g} %: self-attention is computed exactly: {kernel}",)
    return AttentionBudget(percent / 100, kernel, backend.device), ()


def tell_budget(budget: AttentionBudget) -> None:
    """Say, behind a window, what sparse attention did so far."""
    report = BudgetReport(
        percent=round(100 * budget.budget, 6),
        kernel=budget.kernel.name,
        sparse_heads=budget.share,
        mean_error=budget.errors.mean,
        worst_error=budget.errors.worst,
        saved_s=budget.saved_s(),
    )
    show_on_node(str(report))
    note_budget(report)
