"""The pack's own routes on the host's server, and what it changes in the host's answers.

Every route is added here, and so refuses with a sentence, never with a traceback, and answers in time.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from ....attention.errors import PlainError
from .beside_loop import beside_loop

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Answer], Awaitable[web.StreamResponse]]

LOG = logging.getLogger("evertalk")

BAD_REQUEST, OUR_FAULT, BUSY = 400, 500, 503

ANSWER_S = 10.0
"""How long an answer may take once its request has arrived; a file on a disk that hangs is not waited for."""

MAX_AT_ONCE = 8
"""Answers that are worked out at the same time; an editor asks for one."""

_AT_WORK: set[object] = set()

_T = TypeVar("_T")


class RequestError(PlainError):
    """A request that cannot be answered; the message is a sentence for whoever sent it."""


class BusyError(PlainError):
    """A request that nothing is wrong with, but that cannot be answered now."""


def add_post_route(path: str, answer: Answer) -> None:
    """Let the server answer a POST; called once, when the host loads the pack.

    Where packs are loaded without a server, as tools do that only list nodes, there is nobody to ask.
    """
    server = _server()
    if server is not None:
        server.routes.post(path)(in_sentences(path, answer))


def add_middleware(middleware: Middleware) -> None:
    """Let every answer of the server pass through; called once, when the host loads the pack.

    A server that runs already takes no more of them, and its answers stay as they are.
    """
    server = _server()
    if server is not None and not server.app.frozen:
        server.app.middlewares.append(middleware)


def add_prompt_handler(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let the server change what is posted to /prompt before it looks at it; called once, when packs load."""
    server = _server()
    if server is not None:
        server.add_on_prompt_handler(change)


def _server() -> Any:
    """The host's server, or None.

    Not imported: the server drags in its database and frontend, and the host imports it before any pack.
    """
    module = sys.modules.get("server")
    return None if module is None else getattr(module.PromptServer, "instance", None)


def in_sentences(path: str, answer: Answer) -> Answer:
    """The same answer, with `{"error": sentence}` and 400 for a PlainError, 500 for our own faults."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except BusyError as error:
            return refusal(str(error), BUSY)
        except PlainError as error:
            return refusal(str(error), BAD_REQUEST)
        except Exception as error:
            LOG.exception("%s failed", path)
            name = type(error).__name__
            return refusal(f"{path} failed ({name}); ComfyUI's log says where: please report it", OUR_FAULT)

    return answered


async def worked_out(
    what: str, work: Callable[[], _T], limit_s: float = ANSWER_S, most_at_once: int = MAX_AT_ONCE
) -> _T:
    """What `work` gives, beside the event loop.

    Args:
        what: the beginning of the sentence if it cannot be given.
        work: reads files or much JSON.
        limit_s: how long it is waited for.
        most_at_once: so many may be at work, this one among them.

    Raises:
        BusyError: it takes longer, or too many others have not ended yet.
    """
    if len(_AT_WORK) >= most_at_once:
        raise BusyError(f"{what}: {most_at_once} requests are being answered; try it in a while")
    ticket = object()
    _AT_WORK.add(ticket)

    def watched() -> _T:
        try:
            return work()
        finally:
            _AT_WORK.discard(ticket)

    try:
        return await beside_loop(watched, limit_s, "evertalk-route")
    except asyncio.TimeoutError as error:
        raise BusyError(f"{what}: no answer after {limit_s:g} s; try it again in a while") from error


def refusal(sentence: str, status: int) -> web.Response:
    """The answer to what cannot be done."""
    return web.json_response({"error": sentence}, status=status)
