"""A run in the real editor: it advances, ends, is stopped, paused, fails or comes from the server's cache."""

import shutil
import time
from typing import Any

import pytest
from comfy_server import ComfyServer
from editor_page import Editor
from editor_reports import read_report
from editors import LONG_SOUND, LONG_WINDOWS, NEWEST_NODES, OWN, SOUND, UNHURRIED, Drawing, each_editor
from kill_runs import run_folders, sampled_windows

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]


def goes_on_behind(kept: int, editor: Editor, server: ComfyServer) -> None:
    """Press "Go on": the windows that were kept are not sampled again; then end the run."""
    before = len(server.log)
    editor.press("Go on")
    editor.wait_for_done(kept + 1)
    editor.press("Stop and keep")
    editor.wait_for_status("windows kept")
    sampled = sampled_windows(server.log[before:])
    assert sampled == list(range(kept, kept + len(sampled)))
    assert editor.strip().cells.count("done") > kept


@each_editor(OWN, NEWEST_NODES)
def test_strip_advances_with_the_newest_window_and_the_chosen_one_plays(editor: Editor) -> None:
    editor.load_demo(LONG_SOUND, filename_prefix="web/running", **UNHURRIED)
    editor.queue()
    editor.wait_for_done(2)
    strip = editor.strip()
    assert len(strip.cells) == LONG_WINDOWS
    assert strip.cells == sorted(strip.cells, key=["done", "running", "queued"].index), "in the order of time"
    assert strip.status.startswith("Window ")
    assert "s left" in strip.status
    assert strip.buttons == ["Pause", "Stop and keep"]
    assert ".mp4&subfolder=web%2Frunning_r" in strip.video
    # The newest is replaced before a slow browser plays it; one that was chosen stays.
    editor.page.locator(".evertalk-cell").first.evaluate("(cell) => cell.click()")
    editor.wait("document.querySelector('.evertalk-video').currentTime > 0")
    assert "w000000.mp4" in editor.strip().video
    editor.shoot("running")
    editor.press("Stop and keep")
    editor.wait_for_status("windows kept")


@each_editor(OWN, NEWEST_NODES)
def test_finished_run_shows_every_window_done_and_plays_the_whole_video(editor: Editor) -> None:
    editor.load_demo(SOUND, filename_prefix="web/whole")
    editor.queue()
    editor.wait_for_status("5 of 5 windows done")
    strip = editor.strip()
    assert strip.cells == ["done"] * 5
    assert "filename=whole_00001_.mp4&subfolder=web&" in strip.video
    assert strip.buttons == []
    editor.wait("document.querySelector('.evertalk-video').duration > 2.2")
    editor.shoot("done")


def test_stopped_run_keeps_its_windows_and_goes_on_with_the_seed_it_had(
    editor: Editor, server: ComfyServer
) -> None:
    editor.load_demo(
        LONG_SOUND, filename_prefix="web/stopped", control_after_generate="randomize", **UNHURRIED
    )
    seed = editor.widget("seed")["value"]
    editor.queue()
    editor.wait_for_done(2)
    editor.press("Stop and keep")
    editor.wait_for_status(f"of {LONG_WINDOWS} windows kept")
    strip = editor.strip()
    kept = strip.cells.count("done")
    assert 2 <= kept < LONG_WINDOWS
    assert strip.cells == ["done"] * kept + ["queued"] * (LONG_WINDOWS - kept)
    assert strip.buttons == ["Go on"]
    assert "_incomplete.mp4" in strip.video
    editor.shoot("stopped")
    assert editor.widget("seed")["value"] != seed, "the editor has drawn another one"
    goes_on_behind(kept, editor, server)


def test_paused_run_ends_behind_its_window_and_goes_on(editor: Editor, server: ComfyServer) -> None:
    editor.load_demo(
        LONG_SOUND, filename_prefix="web/paused", seed=3, control_after_generate="fixed", **UNHURRIED
    )
    editor.queue()
    editor.wait_for_done(1)
    editor.press("Pause")
    editor.wait_for_status(f"of {LONG_WINDOWS} windows kept")
    kept = editor.strip().cells.count("done")
    assert 1 < kept < LONG_WINDOWS
    editor.shoot("paused")
    goes_on_behind(kept, editor, server)


@each_editor()
def test_failed_window_is_marked_and_says_why(editor: Editor, server: ComfyServer, drawing: Drawing) -> None:
    editor.load_demo(LONG_SOUND, filename_prefix=f"{drawing.name}/failed", **UNHURRIED)
    editor.queue()
    editor.wait_for_done(1)
    (folder,) = run_folders(server, f"{drawing.name}/failed")
    shutil.rmtree(folder)
    editor.wait_for_status("Failed in window")
    assert "failed" in editor.strip().cells
    assert "is gone" in (editor.page.locator(".evertalk-status").get_attribute("title") or "")
    assert "is gone" in read_report(editor.page)
    editor.shoot("failed")


@each_editor(OWN, NEWEST_NODES)
def test_run_from_the_cache_says_so_and_shows_its_video(editor: Editor, drawing: Drawing) -> None:
    widgets: dict[str, Any] = {"filename_prefix": f"{drawing.name}/cached", "seed": 8}
    editor.load_demo(SOUND, **widgets, control_after_generate="fixed")
    editor.queue()
    editor.wait_for_status("5 of 5 windows done")
    assert not any("the server gave its result again" in badge for badge in editor.strip().badges)
    editor.queue()
    editor.wait("document.querySelector('.evertalk-badge')?.title.includes('gave its result again')")
    strip = editor.strip()
    assert strip.status == "5 of 5 windows done"
    assert "filename=cached_00001_.mp4" in strip.video


@each_editor()
def test_runs_logged_no_error_of_their_own(editor: Editor) -> None:
    time.sleep(1)
    # The test of a failed window removes a run's folder while the page may be loading one of its windows.
    expected = ("/interrupt", "%2Ffailed_")
    assert [line for line in editor.errors if not any(part in line for part in expected)] == []
