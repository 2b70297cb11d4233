"""Which files the browser is pointed at, and that nothing is sent outside of a job."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.host


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's output folder."""
    import folder_paths

    folder = tmp_path / "output"
    folder.mkdir()
    monkeypatch.setattr(folder_paths, "output_directory", str(folder))
    return folder


def test_video_in_the_output_folder_is_shown_under_the_names_of_view(output: Path) -> None:
    from evertalk_pack.nodes.host.report.events import ShownFile

    assert ShownFile.of(output / "a.mp4") == ShownFile("a.mp4", "", "output")
    assert ShownFile.of(output / "talk" / "x.run" / "w000001.mp4") == ShownFile(
        "w000001.mp4", "talk/x.run", "output"
    )


@pytest.mark.parametrize("name", ["../elsewhere.mp4", "pictures.zip", "frames", "edit.mov"])
def test_what_lies_elsewhere_or_no_browser_plays_is_not_shown(output: Path, name: str) -> None:
    from evertalk_pack.nodes.host.report.events import ShownFile

    assert ShownFile.of(output / name) is None
    assert ShownFile.of(None) is None


def test_nothing_is_sent_outside_of_a_job() -> None:
    from evertalk_pack.nodes.host.report.events import NodeEvents, RunEvent, send_event

    NodeEvents().send(RunEvent("warning", text="nobody listens"))
    send_event(RunEvent("done"))


def test_events_name_the_workflow_that_the_editor_queued() -> None:
    from evertalk_pack.nodes.host.report.events import workflow_of

    def item(prompt_id: str, extra: dict[str, object]) -> tuple[object, ...]:
        return (0, prompt_id, {}, extra, [])

    edited = item("a", {"extra_pnginfo": {"workflow": {"id": "w"}}})
    by_program = item("b", {"client_id": "c"})
    assert workflow_of([by_program, edited], "a") == "w"
    assert workflow_of([by_program, edited], "b") is None
    assert workflow_of([], "a") is None
