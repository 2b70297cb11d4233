import io

from comfy_client import JsonObject, NodeEvent, StepEvent, TextEvent
from progress import ProgressDisplay

WORKFLOW: JsonObject = {
    "1": {"class_type": "LoadImage", "inputs": {}},
    "2": {"class_type": "EverTalkSampler", "inputs": {}, "_meta": {"title": "Talk"}},
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_log_gets_a_line_for_every_new_text() -> None:
    log = io.StringIO()
    display = ProgressDisplay(WORKFLOW, log)
    display.show(NodeEvent("1"))
    display.show(NodeEvent("2"))
    display.show(TextEvent("2", "Window 1 of 3,\nstep 1/4"))
    display.show(TextEvent("2", "Window 1 of 3,\nstep 1/4"))
    display.show(StepEvent("2", 1, 4))
    display.show(NodeEvent("2"))
    display.close()
    assert log.getvalue() == "  LoadImage\n  Talk\n  Window 1 of 3, step 1/4\n"


def test_terminal_rewrites_one_line() -> None:
    terminal = Terminal()
    display = ProgressDisplay(WORKFLOW, terminal)
    display.show(NodeEvent("2"))
    display.show(StepEvent("2", 1, 4))
    display.close()
    assert terminal.getvalue() == "\r\x1b[K  Talk\r\x1b[K  Talk 1/4\n"


def test_terminal_shows_a_nodes_own_words_instead_of_its_steps() -> None:
    terminal = Terminal()
    display = ProgressDisplay(WORKFLOW, terminal)
    display.show(TextEvent("2", "step 1/4"))
    display.show(StepEvent("2", 1, 4))
    assert terminal.getvalue() == "\r\x1b[K  step 1/4"


def test_number_of_windows_is_what_the_sampler_says() -> None:
    display = ProgressDisplay(WORKFLOW, io.StringIO())
    assert display.num_windows is None
    display.show(TextEvent("2", "Window 2 of 3, step 3/4, 12 s left"))
    assert display.num_windows == 3


def test_node_that_is_not_in_the_workflow_is_shown_by_its_number() -> None:
    log = io.StringIO()
    ProgressDisplay(WORKFLOW, log).show(NodeEvent("4.0.1"))
    assert log.getvalue() == "  node 4.0.1\n"
