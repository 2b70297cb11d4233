"""Work beside the server's event loop: on the loop, a slow disk is a server that answers nobody.

A thread of its own is waited for with a limit; it cannot be ended, but what it does is bounded.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def beside_loop(work: Callable[[], _T], limit_s: float, name: str) -> _T:
    """What `work` gives, which runs in a thread of its own.

    Args:
        work: is not stopped when the time is over.
        limit_s: how long it is waited for.
        name: of the thread.

    Raises:
        asyncio.TimeoutError: it takes longer.
        BaseException: whatever `work` has raised.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: Callable[[], None]) -> None:
        if not done.done():
            result()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            problem = error
            result = lambda: done.set_exception(problem)  # noqa: E731
        else:
            result = lambda: done.set_result(value)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the server was closed meanwhile
            loop.call_soon_threadsafe(settle, result)

    # A daemon: a disk that never answers must not keep the server from ending.
    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wait_for(done, limit_s)
