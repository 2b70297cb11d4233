"""The command, where no batch has to run: refusals, names, status."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from batch_run import Ended, started_command
from batch_setup import WORKFLOW
from evertalk_batch.batch_store import BatchStore
from evertalk_batch.cli import main
from evertalk_batch.options import Options, write_options
from evertalk_batch.results import Result, ResultLog, read_results


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A batch of a hundred good jobs, for a ComfyUI that is not there."""
    (tmp_path / "a.png").touch()
    (tmp_path / "a.wav").touch()
    jobs = [{"id": f"clip-{number}", "picture": "a.png", "audio": "a.wav"} for number in range(1, 101)]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    run = ["run", str(tmp_path / "jobs.jsonl"), "--workflow", str(WORKFLOW)]
    return [*run, "--store", str(tmp_path / "store"), "--comfyui", str(tmp_path / "comfy")]


Call: TypeAlias = Callable[[list[str]], Ended]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command in this process."""

    def run(arguments: list[str]) -> Ended:
        try:
            code = main(arguments)
        except SystemExit as refused:  # argparse
            code = int(str(refused.code))
        told = capsys.readouterr()
        return Ended(code, told.out + told.err)

    return run


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def take() -> None:
            with suppress(OSError):  # closed: the test is over
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for one in held:
            one.close()


def test_malformed_line_is_told_and_nothing_is_started(
    tmp_path: Path, arguments: list[str], call: Call
) -> None:
    jobs = tmp_path / "jobs.jsonl"
    lines = jobs.read_text().splitlines()
    lines[56] = lines[56][:-3]
    lines[70] = lines[70].replace("a.png", "b.png")
    jobs.write_text("\n".join(lines))
    ended = call(arguments)
    assert ended.code == 2
    assert "2 problems; nothing was started." in ended.text
    assert "line 57: it is no JSON" in ended.text
    assert "line 71: picture: there is no file" in ended.text
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "no-such-host.invalid:6379"])
def test_ray_that_nobody_answers_for_is_an_error_at_once(
    arguments: list[str], address: str, call: Call
) -> None:
    begun_s = time.monotonic()
    ended = call([*arguments, "--address", address])
    assert time.monotonic() - begun_s < 20
    assert ended.code == 2
    assert f"--address {address}: no Ray cluster can be reached there" in ended.text


def test_port_that_is_no_ray_is_an_error_within_20_seconds(
    tmp_path: Path, arguments: list[str], mute_port: int
) -> None:
    """In processes of their own, which end in the midst of Ray's connecting; both wait at once."""
    begun_s = time.monotonic()
    with ExitStack() as stack:
        started = [
            (log := tmp_path / f"{number}.log", stack.enter_context(started_command(run, log)))
            for number, run in enumerate(
                [*arguments[:4], "--store", str(tmp_path / name), *arguments[6:], "--address", address]
                for name, address in (("a", f"127.0.0.1:{mute_port}"), ("b", f"ray://127.0.0.1:{mute_port}"))
            )
        ]
        for log, process in started:
            assert process.wait(100) == 2
            assert "no Ray cluster can be reached there" in log.read_text()
    waiting_for_a_core = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - begun_s < 20 * waiting_for_a_core


def test_address_that_is_none_is_told(arguments: list[str], call: Call) -> None:
    ended = call([*arguments, "--address", "10.0.0.1:port"])
    assert ended.code == 2
    assert "expected auto, HOST:PORT or ray://HOST:PORT" in ended.text


def test_result_of_other_values_is_refused(tmp_path: Path, arguments: list[str], call: Call) -> None:
    store = BatchStore(tmp_path / "store")
    store.make()
    ResultLog(store.results).append([Result("clip-3", "done", "another")])
    ended = call(arguments)
    assert ended.code == 2
    assert "clip-3 has a result already, of other values or another workflow" in ended.text


def test_split_without_a_single_sound_is_refused(arguments: list[str], call: Call) -> None:
    two = WORKFLOW.with_name("infinitetalk_two_people.api.json")
    arguments[arguments.index(str(WORKFLOW))] = str(two)
    ended = call([*arguments, "--split-s", "60"])
    assert ended.code == 2
    assert "--split-s: the workflow has no single Load Audio node" in ended.text


def test_split_of_a_workflow_with_a_soundtrack_is_refused(
    arguments: list[str], call: Call, tmp_path: Path
) -> None:
    graph = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    (embeds,) = [i for i, node in graph.items() if node["class_type"] == "EverTalkAudioEmbeds"]
    graph["90"] = {"class_type": "EverTalkLoadSpeech", "inputs": {"audio": "song.wav"}}
    graph[embeds]["inputs"]["soundtrack"] = ["90", 0]
    heard = tmp_path / "heard.api.json"
    heard.write_text(json.dumps(graph), encoding="utf-8")
    arguments[arguments.index(str(WORKFLOW))] = str(heard)
    ended = call([*arguments, "--split-s", "60"])
    assert ended.code == 2
    assert f"--split-s: node {embeds} of the workflow has a soundtrack" in ended.text


def test_status_retry_and_cancel_need_a_batch(tmp_path: Path, call: Call) -> None:
    for command in (["status"], ["cancel"], ["retry", "--failed"]):
        ended = call([*command, "--store", str(tmp_path)])
        assert ended.code == 2
        assert "no batch was started there" in ended.text


def test_status_and_cancel_of_a_batch_that_rests(tmp_path: Path, call: Call) -> None:
    store = BatchStore(tmp_path)
    store.make()
    write_options(store, Options("/j", "/w", str(tmp_path), "/c"), 9)
    done = Result("a", "done", "d", windows=3, windows_begun=4, attempts=2)
    ResultLog(store.results).append([done, Result("b", "failed", "d")])
    ended = call(["status", "--store", str(tmp_path)])
    assert ended.code == 0
    assert "9 jobs; 1 done, 1 failed; 3 windows in the videos, 4 begun, in 3 attempts" in ended.text
    assert "It does not run" in ended.text
    assert "This batch does not run." in call(["cancel", "--store", str(tmp_path)]).text
    assert not store.cancel.exists()


def test_retry_takes_failed_results_out_and_runs_with_the_options_of_the_batch(
    tmp_path: Path, arguments: list[str], call: Call
) -> None:
    store = BatchStore(tmp_path / "store")
    store.make()
    write_options(store, Options(arguments[1], arguments[3], str(store.root), "/c"), 100)
    ResultLog(store.results).append([Result("clip-3", "failed", "d")])
    again = call(["retry", "--failed", "--store", str(store.root), "--address", "127.0.0.1:1"])
    assert again.code == 2
    assert "Again: clip-3" in again.text
    assert "--address 127.0.0.1:1: no Ray cluster can be reached there" in again.text
    assert list(read_results(store.results)) == []
    nothing = call(["retry", "--failed", "--store", str(store.root)])
    assert (nothing.code, nothing.text) == (0, "No job has failed.\n")


def test_inputs_lists_what_a_job_may_set(call: Call) -> None:
    ended = call(["inputs", "--workflow", str(WORKFLOW)])
    assert ended.code == 0
    assert {"picture: a file's path", "8.steps: a number"} <= set(ended.text.splitlines())


def test_comfyui_must_be_named(arguments: list[str], call: Call) -> None:
    ended = call(arguments[:-2])
    assert ended.code == 2
    assert "--comfyui" in ended.text


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--workers", "0", "a whole number from 1 on"),
        ("--max-losses", "two", "a whole number from 1 on"),
        ("--cpus", "-1", "a number from 0 on"),
        ("--split-s", "nan", "a number from 0 on"),
        ("--min-free-mb", "1 GB", "a number from 0 on"),
    ],
)
def test_number_out_of_range_is_refused(
    arguments: list[str], call: Call, option: str, value: str, expected: str
) -> None:
    ended = call([*arguments, option, value])
    assert (ended.code, f"{option}: got {value}, expected {expected}" in ended.text) == (2, True)
