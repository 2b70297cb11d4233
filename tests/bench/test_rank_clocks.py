"""A rank that is projected runs compiled: of its calls each is the graph of the first."""

from pathlib import Path
from typing import Any

import evertalk_pack
import pytest
import torch

BENCH = Path(evertalk_pack.__path__[0]) / "bench"
CALLS = 3


def test_a_projected_rank_is_compiled_once_and_counts_where_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from rank_clocks import CopyingRanks, Spent

    graphs: list[torch.fx.GraphModule] = []

    def keep_graph(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    def exchanged(ranks: CopyingRanks, x: torch.Tensor) -> torch.Tensor:
        return ranks.passed(x, [0, 1], [0, 1]) + ranks.gathered(x)[0, :1] + ranks.swapped(x)[:1]

    compute: Any = torch.compile(exchanged, dynamic=False, backend=keep_graph)
    group: Any = None
    rank, x = CopyingRanks(0, 2, group), torch.ones(2, 3)
    for _ in range(CALLS):
        torch.testing.assert_close(compute(rank, x), 3 * x[:1])
    assert len(graphs) == 1
    counting = CopyingRanks(0, 2, group, Spent())
    exchanged(counting, x)
    row_bytes = 3 * 4
    assert counting.sent == Spent(calls=3, sent_bytes=row_bytes + 2 * row_bytes + row_bytes)
