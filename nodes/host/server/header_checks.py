"""Model files are looked at beside the server's event loop, where a prompt is validated.

On the loop, whatever a file or a slow disk costs is a server that answers nobody. A thread of its own is
waited for with a limit; it cannot be ended, but what it reads is bounded, and the header that it has read
when it is done is kept (wanvideo/checkpoint.py), so that the next queueing finds it.
"""

import asyncio
from collections.abc import Callable

from ....multitalk.common.errors import ModelFileError
from ..report.beside_loop import beside_loop

LIMIT_S = 10.0
"""A header takes milliseconds from a disk and some tenths of a second from a cold network share."""


async def off_the_loop(label: str, check: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Run a check in a thread of its own, and wait for it `limit_s` at most.

    Args:
        label: the widget that the message names if it takes longer.
        check: raises an EverTalkError for a file that cannot be used.
        limit_s: see there.

    Raises:
        EverTalkError: the check has raised it, or (ModelFileError) it takes too long.
    """
    try:
        await beside_loop(check, limit_s, "evertalk-headers")
    except asyncio.TimeoutError as error:
        raise ModelFileError(
            f"{label}: the model files chosen here could not be looked at within {limit_s:g} s. Wait until "
            "their disk answers and queue the workflow again, or choose others."
        ) from error
