"""What every hostile session asks of an answer: in time, in bounded memory, and a sentence if it refuses."""

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

ANSWER_S = 5.0
TRIES = 2
GROWTH_BYTES = 2**30
"""Of memory for what is refused."""

_T = TypeVar("_T")


def timed_answer(ask: Callable[[], _T]) -> tuple[float, _T]:
    """How many seconds an answer took, and the answer; asked for once more in case this machine was busy.

    Raises:
        TimeoutError: it was too slow each time.
    """
    for _ in range(TRIES - 1):
        began = time.monotonic()
        with suppress(TimeoutError):
            answer = ask()
            return time.monotonic() - began, answer
        time.sleep(ANSWER_S)
    began = time.monotonic()
    answer = ask()
    return time.monotonic() - began, answer


def memory_bytes(pid: int, entry: str) -> int:
    """A process' memory now (VmRSS) or its peak (VmHWM); 0 where the system does not say. Linux."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(entry)), 0)


def forget_peak(pid: int) -> None:
    """Let a process' peak be counted from here on, where the system can."""
    switch = Path(f"/proc/{pid}/clear_refs")
    if switch.exists():
        switch.write_text("5")


def wrong_sentence(sentence: str, most_characters: int, raw: Collection[str] = ()) -> list[str]:
    """What is wrong with a sentence of ours.

    Args:
        sentence: it.
        most_characters: that it may have, whatever came.
        raw: words that only a library's own message has.
    """
    if len(sentence) > most_characters:
        return [f"a sentence of {len(sentence)} characters: {ascii(sentence)[:100]}"]
    odd = [one for one in sentence if not one.isprintable() and one != "\n"]
    words = [one for one in raw if one in sentence]
    return [f"{odd or words} in a sentence: {ascii(sentence)[:200]}"] if odd or words else []
