"""Processes that make evaluations together, as several GPUs do: gloo on the CPU, one thread each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import load_pack
import torch
import torch.distributed as dist
from evertalk_pack.wanvideo.ranks import Ranks
from torch.multiprocessing.spawn import spawn

assert load_pack.ROOT  # imported so that a process that is started here finds the pack

Results = dict[str, Any]
"""What a rank found out, by the names of its cases."""


def run_on_ranks(cases: Callable[[Ranks], Results], size: int, folder: Path) -> list[Results]:
    """What `cases`, a function of a module, gives on each of so many ranks, in their order."""
    spawn(_one_rank, args=(cases, size, folder), nprocs=size)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(size)]


def _one_rank(rank: int, cases: Callable[[Ranks], Results], size: int, folder: Path) -> None:
    torch.set_num_threads(1)  # as many sums in the same order on any machine
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=size)
    group = dist.group.WORLD
    assert group is not None
    try:
        with torch.inference_mode():
            results = cases(Ranks(rank, size, group))
        torch.save(results, folder / f"rank{rank}.pt")
    finally:
        dist.destroy_process_group()
