"""Two Ray nodes in network namespaces of their own, joined by a cable, over a shared folder. Needs root."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from batch_run import results_of
from batch_setup import batch_command, batch_environment, make_batch_setup

HEAD, WORKER = "evertalk-head", "evertalk-node"
ADDRESSES = {HEAD: "10.77.0.1", WORKER: "10.77.0.2"}
PORT = 6399

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not os.environ.get("EVERTALK_BATCH_SOAK"), reason="set EVERTALK_BATCH_SOAK=1 (minutes)"
    ),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="namespaces need root and ip"),
]


def environment() -> dict[str, str]:
    """Nodes that join need the head's token, which lies in this user's home."""
    return {**batch_environment(), "RAY_AUTH_MODE": "token", "RAY_worker_niceness": "0"}


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def cable() -> Iterator[None]:
    """Two namespaces and nothing but a cable between them."""
    for name in ADDRESSES:
        ip("netns", "add", name)
    try:
        ip(
            "link",
            "add",
            "et-head",
            "netns",
            HEAD,
            "type",
            "veth",
            "peer",
            "name",
            "et-node",
            "netns",
            WORKER,
        )
        for name, link in ((HEAD, "et-head"), (WORKER, "et-node")):
            ip("-n", name, "addr", "add", f"{ADDRESSES[name]}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in ADDRESSES:
            ip("netns", "delete", name)


def inside(name: str, command: list[str]) -> list[str]:
    return ["ip", "netns", "exec", name, *command]


@contextmanager
def node(name: str, folder: Path, *more: str) -> Generator[None]:
    """A Ray node in a namespace."""
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus", "1"]
    ray += [
        "--node-ip-address",
        ADDRESSES[name],
        "--object-store-memory",
        "80000000",
        "--disable-usage-stats",
    ]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            inside(name, [*ray, *more]), env=environment(), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def num_nodes() -> int:
    address = f"{ADDRESSES[HEAD]}:{PORT}"
    code = f"import ray; ray.init(address='{address}', log_to_driver=False); print(len(ray.nodes()))"
    done = subprocess.run(
        inside(HEAD, [sys.executable, "-c", code]),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0


@pytest.mark.usefixtures("cable")
def test_two_nodes_share_a_batch_over_a_cable_alone(comfyui: Path, tmp_path: Path) -> None:
    for name in ADDRESSES:
        assert len(ip("-n", name, "-o", "link").splitlines()) == 2, "loopback and the cable"
        routes = ip("-n", name, "route").splitlines()
        assert [route.split()[0] for route in routes] == ["10.77.0.0/24"]
    setup = make_batch_setup(tmp_path, comfyui.resolve(), {"talk.wav": 2.0})
    jobs = setup.write_jobs(
        {"id": f"clip-{number}", "picture": "face.jpg", "audio": "talk.wav", "seed": number}
        for number in range(8)
    )
    store = tmp_path / "store"
    address = f"{ADDRESSES[HEAD]}:{PORT}"
    with ExitStack() as stack:
        head = ("--head", "--port", str(PORT), "--include-dashboard", "false")
        stack.enter_context(node(HEAD, tmp_path, *head))
        stack.enter_context(node(WORKER, tmp_path, "--address", address))
        deadline_s = time.monotonic() + 300
        while num_nodes() < 2:
            told = (tmp_path / f"{WORKER}.log").read_text()
            assert time.monotonic() < deadline_s, told
            assert "Error" not in told, told
        run = setup.run_arguments(jobs, store, "--workers", "2", "--address", address)
        done = subprocess.run(
            inside(HEAD, batch_command(run)),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    results = results_of(store)
    assert len(results) == 8
    for result in results.values():
        assert (store / result["path"]).is_file()
    places = {
        ip_address
        for ip_address in ADDRESSES.values()
        for one in results.values()
        if ip_address in one["worker"]
    }
    assert places == set(ADDRESSES.values()), results
