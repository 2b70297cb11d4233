"""The group of processes whose collectives make one evaluation, as torch knows it."""

import os
import re
import socket
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from ....multitalk.common.errors import InputError

Store = dist.Store  # pyright: ignore[reportPrivateImportUsage]
LOOPBACK = "127.0.0.1"

TIMEOUT_S = 600.0
"""How long a collective waits for a worker, which may be at torch's compiler in its first evaluation."""
TIMEOUT_NAME = "EVERTALK_PARALLEL_TIMEOUT_S"
SECONDS = re.compile(r"\d{1,6}(\.\d+)?")


SAFE: dict[str, str] = {
    # What fails in a collective is told by the pack; by itself NCCL would end the server's process.
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "2",
    "TORCH_NCCL_ENABLE_MONITORING": "0",
    # All ranks are on this machine: nothing listens to the network.
    "NCCL_SOCKET_IFNAME": "lo",
    "GLOO_SOCKET_IFNAME": "lo",
    # NCCL's service for questions about a job listens at two ports until the process ends (28028 is one).
    "NCCL_RAS_ENABLE": "0",
}
"""Of the environment, where the person did not choose otherwise."""


def timeout_s() -> float:
    """How long a collective waits.

    Raises:
        InputError: the environment holds no time.
    """
    told = os.environ.get(TIMEOUT_NAME, f"{TIMEOUT_S:g}")
    if SECONDS.fullmatch(told) is None or float(told) == 0:
        raise InputError(
            f"gpus: the environment variable {TIMEOUT_NAME} is {told!r}, expected seconds above 0, such as "
            f"{TIMEOUT_S:g}. Correct it, or remove it, and restart ComfyUI."
        )
    return float(told)


def new_store(size: int, wait_s: float) -> Store:
    """Where the ranks find each other, on a port of this machine that is free."""
    for name, value in SAFE.items():
        os.environ.setdefault(name, value)
    # By itself the store listens at every address that the machine has.
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port: int = listener.getsockname()[1]
        # The store closes what it is given.
        return _store(port, size, wait_s, is_master=True, master_listen_fd=os.dup(listener.fileno()))


def store_at(port: int, size: int, wait_s: float) -> Store:
    """The store of the server, in a worker."""
    return _store(port, size, wait_s, is_master=False)


def _store(port: int, size: int, wait_s: float, **how: Any) -> Store:
    kind: Any = dist.TCPStore  # pyright: ignore[reportPrivateImportUsage]
    return kind(LOOPBACK, port, size, timeout=timedelta(seconds=wait_s), wait_for_workers=False, **how)


def port_of(store: Store) -> int:
    """The port that it listens at."""
    listening: Any = store
    return listening.port


def join(rank: int, size: int, backend: str, store: Any, wait_s: float) -> dist.ProcessGroup:
    """Take a place in the group of all ranks; returns when all have."""
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=timedelta(seconds=wait_s)
    )
    group = dist.group.WORLD
    assert group is not None
    return group


def is_of_collective(error: BaseException) -> bool:
    """Whether an error is torch's about its collectives, not one of the computation between them."""
    text = str(error).lower()
    return isinstance(error, dist.DistError | dist.DistNetworkError) or (
        isinstance(error, RuntimeError)
        and any(name in text for name in ("gloo", "nccl", "peer", "timed out"))
    )
