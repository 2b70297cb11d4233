import io

from evertalk_batch.attempts import Attempt
from evertalk_batch.eta import Eta
from evertalk_batch.view import ConsoleView, Snapshot, duration_text, line_of
from rich.console import Console

RUNNING = Attempt("clip-7", 1, "worker 2 on a", 0.0, window=3, windows=9)


def test_time_left_comes_from_measured_seconds_a_window() -> None:
    eta = Eta()
    assert eta.left_s(10, 2) is None
    eta.note(seconds=40.0, windows=4)
    eta.note(seconds=20.0, windows=2)
    assert eta.seconds_per_window == 10.0
    assert eta.left_s(jobs_left=10, workers=2) == 10 * 3 * 10.0 / 2
    assert eta.left_s(jobs_left=10, workers=2, windows_running=6) == 24 * 10.0 / 2
    assert eta.left_s(jobs_left=10, workers=0) is None


def test_job_that_was_found_finished_says_nothing_about_the_others() -> None:
    eta = Eta()
    eta.note(seconds=0.1, windows=0)
    assert eta.seconds_per_window is None


def test_texts() -> None:
    assert duration_text(3 * 3600 + 309) == "3:05:09"
    assert duration_text(None) == "unknown"
    assert (
        line_of(Snapshot(9, 3, 1, [RUNNING], 61.0)) == "4 of 9 jobs, 1 failed, 1 running, time left: 0:01:01"
    )


def test_terminal_shows_a_bar_for_all_and_one_a_worker() -> None:
    out = io.StringIO()
    with ConsoleView(Console(file=out, force_terminal=True, width=120)) as view:
        view.show(Snapshot(9, 3, 1, [RUNNING], 61.0))
        view.tell("[worker] 1 was lost")
        view.show(Snapshot(9, 3, 1, [], None))
    text = out.getvalue()
    assert "all jobs, 1 failed, 0:01:01 left" in text
    assert "worker 2 on a: clip-7" in text
    assert "2/9" in text
    assert "worker 2 on a: waits" in text
    assert "[worker] 1 was lost" in text, "brackets of a message are no markup"


def test_file_gets_a_line_now_and_then() -> None:
    out = io.StringIO()
    with ConsoleView(Console(file=out)) as view:
        for _ in range(5):
            view.show(Snapshot(9, 3, 0, [RUNNING], None))
    assert out.getvalue() == "3 of 9 jobs, 0 failed, 1 running, time left: unknown\n"
