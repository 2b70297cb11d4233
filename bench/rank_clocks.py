"""Ranks for measuring: with the exchange timed, with local copies in its place, and as threads of one GPU."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from evertalk_pack.wanvideo.ranks import Ranks
from rows import digits


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
        sent_bytes = parts_P.nbytes * (self.size - 1) // self.size
        return self.timed(lambda: Ranks.swapped(self, parts_P), parts_P.device, sent_bytes)

    def passed(self, x: torch.Tensor, given: list[int], taken: list[int]) -> torch.Tensor:
        """As in Ranks."""
        sent_bytes = bytes_to_others(x[:1], given, self.rank)
        return self.timed(lambda: Ranks.passed(self, x, given, taken), x.device, sent_bytes)

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """As in Ranks."""
        return self.timed(lambda: Ranks.gathered(self, x), x.device, x.nbytes * (self.size - 1))

    def timed(
        self, exchange: Callable[[], torch.Tensor], device: torch.device, sent_bytes: int
    ) -> torch.Tensor:
        """One exchange after a barrier."""
        times_s = [clock(device)]
        dist.barrier(self.group)
        times_s.append(clock(device))
        result = exchange()
        times_s.append(clock(device))
        self.spent.waiting_s += times_s[1] - times_s[0]
        self.spent.exchange_s += times_s[2] - times_s[1]
        self.spent.calls += 1
        self.spent.sent_bytes += sent_bytes
        return result


def bytes_to_others(row: torch.Tensor, counts: list[int], rank: int) -> int:
    """What of so many rows for each rank is not the rank's own."""
    return row.nbytes * (sum(counts) - counts[rank])


def relative_difference(given: torch.Tensor, expected: torch.Tensor) -> float:
    """|given - expected| / |expected|, three digits."""
    from evertalk_pack.attention.self_test import relative_error

    return digits(relative_error(given, expected))


def clock(device: torch.device) -> float:
    """Seconds, once the GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True, slots=True)
class CopyingRanks(Ranks):
    """One rank of several that do not exist: copies of its own take the place of what others would send.

    Attributes:
        sent: what it would have sent; None: it is not counted. A compiled caller would be compiled again for
            each new count.
    """

    sent: Spent | None = None

    def swapped(self, parts_P: torch.Tensor) -> torch.Tensor:
        """A copy."""
        self.count(parts_P.nbytes * (self.size - 1) // self.size)
        return parts_P.clone()

    def passed(self, x: torch.Tensor, given: list[int], taken: list[int]) -> torch.Tensor:
        """Copies of as many entries as the others would give, of its own where it has any.

        Counted is what it would give or get, whichever is more.
        """
        row = x.new_empty(1, *x.shape[1:])
        self.count(max(bytes_to_others(row, one, self.rank) for one in (given, taken)))
        if not len(x):
            return x.new_zeros(sum(taken), *x.shape[1:])
        return x[torch.arange(sum(taken), device=x.device) % len(x)]

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """As many copies as ranks."""
        self.count(x.nbytes * (self.size - 1))
        return x.expand(self.size, *x.shape).contiguous()

    def agreed(self, answer: bool, device: torch.device) -> bool:
        """Its own answer."""
        del device
        return answer

    def count(self, sent_bytes: int) -> None:
        """Note an exchange."""
        if self.sent is not None:
            self.sent.calls += 1
            self.sent.sent_bytes += sent_bytes


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

    def exchanged(self, x: Any) -> list[Any]:
        """What all ranks gave, in their order."""
        self.table.given[self.rank] = x
        self.table.barrier.wait()
        given = list(self.table.given)
        self.table.barrier.wait()
        return given

    def swapped(self, parts_P: torch.Tensor) -> torch.Tensor:
        """As in Ranks."""
        return torch.stack([parts[self.rank] for parts in self.exchanged(parts_P)])

    def passed(self, x: torch.Tensor, given: list[int], taken: list[int]) -> torch.Tensor:
        """As in Ranks."""
        del taken
        return torch.cat([parts[self.rank] for parts in self.exchanged(x.split(given))])

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
