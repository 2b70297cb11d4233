"""A worker as the server sees it, and one whose server is gone."""

import json
import subprocess
import sys

import psutil
import pytest
from evertalk_pack.nodes.host.parallel.worker_process import SCRIPT, surroundings

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

IMPORTS_S = 120

SERVER_THAT_ENDS = """
import json, os, socket, subprocess, sys
from multiprocessing.connection import Connection
own, theirs = socket.socketpair()
def start(end, *command):
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, pass_fds=(end.fileno(),), **silent)
held = start(own, "sleep", "200")
worker = start(theirs, sys.executable, sys.argv[1], str(theirs.fileno()))
host = json.loads(sys.argv[2]) | {"server": os.getpid()}
Connection(own.detach()).send_bytes(json.dumps(host).encode())
print(held.pid, worker.pid, flush=True)
os._exit(0)
"""
"""Starts a worker and a process that holds the server's end of the channel too, and is gone at once."""


def test_server_that_ends_while_a_worker_imports_takes_it_along() -> None:
    command = [sys.executable, "-c", SERVER_THAT_ENDS, str(SCRIPT), json.dumps(surroundings())]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    holds, worker = map(psutil.Process, map(int, told.split()))
    try:
        assert worker.is_running()
        assert psutil.wait_procs([worker], IMPORTS_S)[1] == []
        assert holds.is_running(), "the channel was open to the end"
    finally:
        for one in (holds, worker):
            if one.is_running():
                one.kill()
