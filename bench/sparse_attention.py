"""Sparse self-attention on queries and keys made up like a video's, and the budget of error on them.

    python bench/sparse_attention.py                 a window of 832x480 and 81 frames, 40 heads of 128
    python bench/sparse_attention.py --device cpu --tiny

Of the heads 60 % look at what is near in space and time, 20 % less sharply, and 20 % anywhere. Rows: every
exact backend that runs here, in milliseconds; the sparse kernel at each threshold, with the error of each
kind of heads; then, for each budget, the share of heads that went sparse, how many are exact and at each
threshold, the errors of the sampled rows and of all rows, and the milliseconds of a call and of a trial; the
same with random queries and keys, where all heads should stay exact.
Needs nothing but torch and the pack's own folder, and comfy-kitchen 0.2.40 on a GPU.

Shape letters: B batch, L tokens, H heads, D head dimension, F Fourier features.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import digits, emit, emit_setting, parser_of
from timing import timed_ms

pack_alias.name_pack()
from evertalk_pack.attention.choice import AttentionSpec  # noqa: E402
from evertalk_pack.attention.head_plan import TAUS, Trial, attend, try_heads  # noqa: E402
from evertalk_pack.attention.protocol import Attention  # noqa: E402
from evertalk_pack.attention.registry import BACKENDS, Resolver  # noqa: E402
from evertalk_pack.attention.self_test import relative_error  # noqa: E402
from evertalk_pack.attention.sparse import SparseKernel, sparse_kernel  # noqa: E402

GRID, TINY_GRID = (21, 30, 52), (3, 8, 16)
KINDS = {"near": (1.5, 24.0), "less near": (4.0, 14.0)}
"""Kinds of heads that look at near tokens: how far, in tokens, and how sharply."""
BUDGETS = (0.01, 0.02, 0.05)


def head_kinds(heads: int) -> list[str]:
    """The kind of each head, mixed as in a transformer's."""
    kinds = ["near", "near", "less near", "near", "anywhere"]
    return [kinds[head % len(kinds)] for head in range(heads)]


def video_like(
    grid: tuple[int, int, int], kinds: list[str], head_dim: int, device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of such heads over a grid of tokens."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    axes = (torch.arange(float(size), device=device) for size in grid)
    place_L3 = torch.cartesian_prod(*axes)
    q_heads: list[torch.Tensor] = []
    k_heads: list[torch.Tensor] = []
    for kind in kinds:
        q_LD, k_LD = normal(len(place_L3), head_dim), normal(len(place_L3), head_dim)
        if kind in KINDS:
            reach, sharpness = KINDS[kind]
            # Random Fourier features: their products fall with the distance as a Gaussian does.
            angles_LF = place_L3 @ normal(3, head_dim // 2) / reach
            near_LD = torch.cat((angles_LF.cos(), angles_LF.sin()), dim=1) * (2 / head_dim) ** 0.5
            scale = (sharpness * head_dim**0.5) ** 0.5
            q_LD, k_LD = (scale * near_LD + 0.1 * x_LD for x_LD in (q_LD, k_LD))
        q_heads.append(q_LD)
        k_heads.append(k_LD)
    v_BLHD = normal(1, len(place_L3), len(kinds), head_dim)
    q_BLHD, k_BLHD = (torch.stack(heads, dim=1)[None] for heads in (q_heads, k_heads))
    return q_BLHD.to(dtype), k_BLHD.to(dtype), v_BLHD.to(dtype)


def errors_by_kind(out: torch.Tensor, exact: torch.Tensor, kinds: list[str]) -> dict[str, float]:
    """|out - exact| / |exact| over all rows of the heads of each kind."""
    found: dict[str, float] = {}
    for kind in dict.fromkeys(kinds):
        heads = [head for head, own in enumerate(kinds) if own == kind]
        found[kind] = digits(relative_error(out[:, :, heads], exact[:, :, heads]))
    return found


def measure(
    qkv: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    kinds: list[str],
    kernel: SparseKernel,
    exact: Attention,
    timed: Callable[[Attention], float],
) -> None:
    """Print the rows of one set of queries and keys."""
    exact_BLHD = exact(*qkv)
    for tau in TAUS:
        out_BLHD = kernel.attend(*qkv, tau)
        ms = timed(lambda q_BQHD, k_BKHD, v_BKHD, tau=tau: kernel.attend(q_BQHD, k_BKHD, v_BKHD, tau))
        emit({"what": "sparse", "tau": tau, "ms": ms, **errors_by_kind(out_BLHD, exact_BLHD, kinds)})
    for budget in BUDGETS:
        trial: Trial = try_heads(qkv, exact_BLHD, kernel.attend, budget)

        def planned(
            q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor, trial: Trial = trial
        ) -> torch.Tensor:
            return attend(q_BQHD, k_BKHD, v_BKHD, trial.plan, exact, kernel.attend)

        def tried(
            q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor, budget: float = budget
        ) -> torch.Tensor:
            try_heads((q_BQHD, k_BKHD, v_BKHD), exact_BLHD, kernel.attend, budget)
            return exact_BLHD

        row = {
            "budget": budget,
            "share": digits(trial.plan.share),
            "levels": [len(trial.plan.heads(level)) for level in range(len(TAUS) + 1)],
            "worst_sampled": digits(max(trial.errors, default=0.0)),
            "all_rows": errors_by_kind(planned(*qkv), exact_BLHD, kinds),
        }
        emit({"what": "budget", **row, "ms": timed(planned), "trial_ms": timed(tried)})


def main() -> None:
    """Measure what the command line asks for."""
    parser = parser_of(__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--runs", default=5, type=int)
    arguments: argparse.Namespace = parser.parse_args()
    device: torch.device = arguments.device
    grid, heads, head_dim = (TINY_GRID, 5, 32) if arguments.tiny else (GRID, 40, 128)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    emit_setting("sparse_attention", arguments, device)
    kinds = head_kinds(heads)
    video = video_like(grid, kinds, head_dim, device, dtype)
    spec = AttentionSpec(device, dtype, head_dim)
    kernel = sparse_kernel(spec, video[0].shape[1])
    if isinstance(kernel, str):
        emit({"what": "sparse", "why_not": kernel})
        return
    emit({"what": "kernel", "name": kernel.name, "tokens": video[0].shape[1], "heads": heads})

    def timed(attention: Attention) -> float:
        return digits(min(timed_ms(partial(attention, *video), device, arguments.runs)))

    resolver = Resolver()
    for backend in BACKENDS:
        if backend.exact and resolver.why_not(backend.name, device, dtype, head_dim) is None:
            emit({"what": "exact", "backend": backend.name, "ms": timed(backend.attention)})
    auto = resolver.resolve("auto", device, dtype, head_dim)
    emit({"what": "auto", "backend": auto.ran})
    measure(video, kinds, kernel, auto.attention, timed)
    emit({"what": "random queries and keys"})
    noise = tuple(torch.randn_like(x) for x in video)
    assert len(noise) == 3
    measure(noise, ["random"] * heads, kernel, auto.attention, timed)
    if device.type == "cuda":
        emit({"what": "peak", "gb": digits(torch.cuda.max_memory_allocated(device) / 1e9)})


if __name__ == "__main__":
    with torch.inference_mode():
        main()
