"""How fast a backend is on this GPU, and which of several to take.

Shape letters: B batch, L tokens, H heads, D head dimension.
"""

from collections.abc import Callable, Sequence

import torch

from .choice import AttentionSpec
from .protocol import Attention

# A quarter of the tokens of an 832x480x81 window and 16 of its 40 heads: 0.5 TFLOP, about a millisecond on an
# H100, yet enough work for every kernel to run at its usual rate. Not a multiple of any block, as in real
# use.
PROBE_TOKENS, PROBE_HEADS, _RUNS = 8190, 16, 5

# Timings of the same kernel scatter by 1 to 2 %; an earlier name keeps its place unless beaten by more than
# that.
MARGIN = 0.03


def measure_ms(attention: Attention, spec: AttentionSpec) -> float:
    """Shortest of a few self-attentions on a CUDA device, in milliseconds; the inputs take about 0.1 GB."""
    generator = torch.Generator(spec.device).manual_seed(0)
    qkv_BLHD = [
        torch.randn(
            1,
            PROBE_TOKENS,
            PROBE_HEADS,
            spec.head_dim,
            generator=generator,
            device=spec.device,
            dtype=spec.dtype,
        )
        for _ in range(3)
    ]
    return shortest_ms(lambda: attention(*qkv_BLHD))


def shortest_ms(run: Callable[[], object]) -> float:
    """Shortest of a few calls of what runs on the current CUDA device, in milliseconds."""
    run()  # compiles, and warms the caches
    times_ms: list[float] = []
    for _ in range(_RUNS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times_ms.append(start.elapsed_time(end))
    return min(times_ms)


def pick_fastest(times_ms: Sequence[tuple[str, float]]) -> str:
    """The name with the least time, where an earlier one yields only to a gain of more than `MARGIN`."""
    best, best_ms = times_ms[0]
    for name, time_ms in times_ms[1:]:
        if time_ms < best_ms * (1 - MARGIN):
            best, best_ms = name, time_ms
    return best
