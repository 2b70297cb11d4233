"""Jobs behind the caller: in order, as the caller's, and their errors are not lost."""

import threading
from contextvars import ContextVar

import pytest
from evertalk_pack.multitalk.common.background_task import Background

NODE: ContextVar[str] = ContextVar("NODE", default="none")


def test_a_job_runs_on_another_thread_as_a_part_of_the_same_node() -> None:
    seen: list[tuple[str, bool]] = []
    with Background("writer") as background:
        for node in ("7", "8"):
            token = NODE.set(node)
            background.submit(
                lambda: seen.append((NODE.get(), threading.current_thread() is threading.main_thread()))
            )
            NODE.reset(token)
    assert seen == [("7", False), ("8", False)]


def test_an_error_is_raised_by_the_next_call_and_once() -> None:
    def fail() -> None:
        raise OSError("full")

    with Background("writer") as background:
        background.submit(fail)
        with pytest.raises(OSError, match="full"):
            background.submit(lambda: None)
        background.wait()
