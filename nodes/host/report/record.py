"""What happens in the run that a node is making, noted where it happens: warnings, attention."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from ....attention.choice import AttentionChoice
from ....attention.plain_text import plain
from .budget_report import BudgetReport


@dataclass(slots=True)
class RunRecord:
    """Notes about a run.

    Attributes:
        warnings: what was said that must not be missed, each once.
        attention: the attention backend that ran last; empty if nothing was sampled.
        attention_elsewhere: what ran outside of self-attention; the same unless that is right there alone.
        budget: what sparse attention did so far; None where there was none.
        kept: what was not encoded again, each once.
    """

    warnings: list[str] = field(default_factory=list[str])
    attention: str = ""
    attention_elsewhere: str = ""
    budget: BudgetReport | None = None
    kept: list[str] = field(default_factory=list[str])


_RECORD: ContextVar[RunRecord | None] = ContextVar("evertalk_run_record", default=None)


@contextmanager
def recording() -> Generator[RunRecord]:
    """Note what happens inside, in this thread."""
    record = RunRecord()
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


def note_warning(text: str) -> None:
    """Note a warning, if anybody is recording; as plain text, for files and the browser."""
    record, text = _RECORD.get(), plain(text)
    if record is not None and text not in record.warnings:
        record.warnings.append(text)


def note_attention(choice: AttentionChoice) -> None:
    """Note the attention backend that runs from now on, if anybody is recording."""
    record = _RECORD.get()
    if record is not None:
        record.attention, record.attention_elsewhere = choice.ran, choice.elsewhere


def note_kept(what: str) -> None:
    """Note that something was not encoded again, if anybody is recording."""
    record = _RECORD.get()
    if record is not None and what not in record.kept:
        record.kept.append(what)


def note_budget(report: BudgetReport) -> None:
    """Note what sparse attention did so far, if anybody is recording."""
    record = _RECORD.get()
    if record is not None:
        record.budget = report
