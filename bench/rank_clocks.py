"""Ranks for measuring: with the exchange timed, with local copies in its place, and as threads of one GPU."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from evertalk_pack.wanvideo.ranks import Ranks


@dataclass(slots=True)
class Spent:
    """Where the time of exchanges went, in seconds, and what this rank gave to others in bytes."""

    waiting_s: float = 0.0
    exchange_s: float = 0.0
    calls: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TimedRanks(Ranks):
    """Waits for the other ranks before each exchange, so that waiting and exchange are told apart.

    Attributes:
        spent: so far.
    """

    spent: Spent = field(default_factory=Spent)

    def swapped(self, parts_P: torch.Tensor) -> torch.Tensor:
        """As in Ranks."""
        return self.timed(Ranks.swapped, parts_P, parts_P.nbytes * (self.size - 1) // self.size)

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """As in Ranks."""
        return self.timed(Ranks.gathered, x, x.nbytes * (self.size - 1))

    def timed(
        self, exchange: Callable[[Ranks, torch.Tensor], torch.Tensor], x: torch.Tensor, sent_bytes: int
    ) -> torch.Tensor:
        """One exchange after a barrier."""
        times_s = [clock(x.device)]
        dist.barrier(self.group)
        times_s.append(clock(x.device))
        result = exchange(self, x)
        times_s.append(clock(x.device))
        self.spent.waiting_s += times_s[1] - times_s[0]
        self.spent.exchange_s += times_s[2] - times_s[1]
        self.spent.calls += 1
        self.spent.sent_bytes += sent_bytes
        return result


def clock(device: torch.device) -> float:
    """Seconds, once the GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True, slots=True)
class CopyingRanks(Ranks):
    """One rank of several that do not exist: copies of its own take the place of what others would send.

    Attributes:
        sent: what it would have sent.
    """

    sent: Spent = field(default_factory=Spent)

    def swapped(self, parts_P: torch.Tensor) -> torch.Tensor:
        """A copy."""
        self.sent.calls += 1
        self.sent.sent_bytes += parts_P.nbytes * (self.size - 1) // self.size
        return parts_P.clone()

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """As many copies as ranks."""
        self.sent.calls += 1
        self.sent.sent_bytes += x.nbytes * (self.size - 1)
        return x.expand(self.size, *x.shape).contiguous()

    def agreed(self, answer: bool, device: torch.device) -> bool:
        """Its own answer."""
        del device
        return answer


@dataclass(slots=True)
class Table:
    """Where the threads of one process lay what they exchange."""

    barrier: threading.Barrier
    given: list[Any]


@dataclass(frozen=True, slots=True)
class ThreadRanks(Ranks):
    """Ranks that are threads of one process and share its weights: right, but no faster.

    Attributes:
        table: of all of them.
    """

    table: Table

    def exchanged(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What all ranks gave, in their order."""
        self.table.given[self.rank] = x
        self.table.barrier.wait()
        given = list(self.table.given)
        self.table.barrier.wait()
        return given

    def swapped(self, parts_P: torch.Tensor) -> torch.Tensor:
        """As in Ranks."""
        return torch.stack([parts[self.rank] for parts in self.exchanged(parts_P)])

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """As in Ranks."""
        return torch.stack(self.exchanged(x))


def on_threads(size: int, group: Any, evaluate: Callable[[Ranks], torch.Tensor]) -> torch.Tensor:
    """The first rank's result of an evaluation by so many threads.

    A GPU's threads share its default stream, so that what one has laid on the table is there for the others.
    """
    table = Table(threading.Barrier(size, timeout=600), [None] * size)
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            with torch.inference_mode():
                results[rank] = evaluate(ThreadRanks(rank, size, group, table))
        except BaseException:
            table.barrier.abort()
            raise

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result is not None for result in results), "a rank failed; its error is above"
    return results[0]
