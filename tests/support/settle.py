"""Brings a server that tests share to rest, so that a run of one test is not in the way of the next."""

import time

from comfy_client import ComfyClient

LIMIT_S = 120.0
PAUSE_S = 0.05


def settle(client: ComfyClient) -> None:
    """Take what waits out of the queue, stop what runs, and wait until nothing does.

    Raises:
        TimeoutError: it still works after two minutes.
    """
    deadline_s = time.monotonic() + LIMIT_S
    while client.is_busy():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{client.address} still works {LIMIT_S:g} s after it was told to stop")
        client.clear_queue()
        client.interrupt()
        time.sleep(PAUSE_S)
