"""Seeds of windows and their noise, each window's own, so that a window can be made again alone.

A window that did not come out well is made again with another seed: the windows before it stay as they are;
those after it continue from what it gives, and are made again.
"""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from ..common.errors import InputError

SEED_STRIDE = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: neighbouring windows and neighbouring seeds get unrelated generators."""
SEED_RANGE = 2**63

SOCKET = "window_seeds"
EXAMPLE = "Write a window's number from 1 on, a colon and a seed, such as 4: 1234, 9: 7."

MAX_CHARACTERS = 1_000_000
"""Seeds for more windows than a run may have."""

_ENTRY = re.compile(r"\s*([0-9]{1,9})\s*:\s*([0-9]{1,30})\s*")
_BETWEEN = re.compile(r"[,;\n]")


@dataclass(frozen=True, slots=True)
class WindowSeeds:
    """Windows with a seed of their own.

    Attributes:
        seeds: index of the window, 0 for the first, and its seed; in the order of the windows.
    """

    seeds: tuple[tuple[int, int], ...] = ()

    def of(self, index: int) -> int | None:
        """The seed of a window, or None if it has the run's."""
        # By halves: it is asked for each window, and each may have a seed of its own.
        place = bisect_left(self.seeds, (index, 0))
        found = self.seeds[place] if place < len(self.seeds) else (None, None)
        return found[1] if found[0] == index else None

    def of_run(self, run_seed: int, index: int) -> int:
        """The seed that takes the run's place in a window."""
        own = self.of(index)
        return run_seed if own is None else own

    def check_count(self, windows: int) -> None:
        """Refuse seeds for windows that the run has not.

        Raises:
            InputError: names the window.
        """
        beyond = [index for index, _ in self.seeds if index >= windows]
        if beyond:
            raise InputError(
                f"{SOCKET}: window {beyond[0] + 1}, but the run has {windows}. Leave it out, or use a window "
                f"from 1 to {windows}"
            )

    def __str__(self) -> str:
        return ", ".join(f"{index + 1}: {seed}" for index, seed in self.seeds)


def parse_window_seeds(text: str, run_seed: int) -> tuple[WindowSeeds, tuple[str, ...]]:
    """The seeds in a text like `4: 1234, 9: 7`, and a sentence for each that is the run's own anyway.

    Raises:
        InputError: an entry that is not a number, colon and seed; window 0; a window twice; too large a seed.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{SOCKET}: {len(text)} characters, expected {MAX_CHARACTERS} at most. {EXAMPLE}")
    seeds: dict[int, int] = {}
    for entry in _BETWEEN.split(text):
        if not entry.strip():
            continue
        number, seed = _parse_entry(entry)
        if number - 1 in seeds:
            raise InputError(f"{SOCKET}: window {number} has two seeds. Keep one of them")
        seeds[number - 1] = seed
    notes = tuple(
        f"{SOCKET}: window {index + 1} has the seed {seed} of the whole run, so it stays as it is"
        for index, seed in seeds.items()
        if seed == run_seed
    )
    return WindowSeeds(
        tuple(sorted((index, seed) for index, seed in seeds.items() if seed != run_seed))
    ), notes


def _parse_entry(entry: str) -> tuple[int, int]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise InputError(f"{SOCKET}: {entry.strip()!r:.80} is not a window and seed. {EXAMPLE}")
    number, seed = int(found[1]), int(found[2])
    if number == 0:
        raise InputError(f"{SOCKET}: there is no window 0, the first is window 1. {EXAMPLE}")
    if seed >= SEED_RANGE:
        raise InputError(
            f"{SOCKET}: seed {seed} of window {number}, expected 0 to {SEED_RANGE - 1}. Use a smaller one"
        )
    return number, seed


def window_seed(seed: int, window_index: int) -> int:
    """The seed of a window: the run's own for the first, spread over 63 bits for later ones."""
    return (seed + window_index * SEED_STRIDE) % SEED_RANGE


def draw(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise in float32, on the CPU: the same numbers on every machine."""
    return torch.randn(shape, generator=generator, dtype=torch.float32)


Draw = Callable[[tuple[int, ...]], torch.Tensor]
"""Gives fresh noise of a shape at every call."""


def seeded_noise(seed: int, window_index: int) -> Draw:
    """All noise of a window, one draw after the other: the starting noise first."""
    generator = torch.Generator("cpu").manual_seed(window_seed(seed, window_index))
    return lambda shape: draw(shape, generator)


def drawn_ahead(begin: Callable[[], Draw], shape: tuple[int, ...], count: int) -> Callable[[], torch.Tensor]:
    """Gives a draw of a shape at every call; the first `count` are made by a thread meanwhile.

    A CPU takes milliseconds for a window's noise, in which a GPU that waits for it does nothing.

    Args:
        begin: gives what draws; called by the thread too, since it may draw by itself.
        shape: of each draw.
        count: how many are expected.
    """
    thread = ThreadPoolExecutor(1, "evertalk-noise")
    beginning = thread.submit(begin)
    draws = deque(thread.submit(lambda: beginning.result()(shape)) for _ in range(count))
    thread.shutdown(wait=False)
    return lambda: draws.popleft().result() if draws else beginning.result()(shape)
