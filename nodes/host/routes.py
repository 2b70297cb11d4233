"""The pack's own routes on the host's server, and what it changes in the host's answers.

Its routes refuse with a sentence, never with a traceback.
"""

import json
import logging
import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ...attention.errors import PlainError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Answer], Awaitable[web.StreamResponse]]

LOG = logging.getLogger("evertalk")

BAD_REQUEST, OUR_FAULT = 400, 500

SHOWN = 40
"""Characters of what came that are shown in a sentence."""


class RequestError(PlainError):
    """A request that cannot be answered; the message is a sentence for whoever sent it."""


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
    """The same answer, with `{"error": sentence}` and 400 for a RequestError, 500 for our own faults."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except web.HTTPException:  # aiohttp's own, such as a body that is too large
            raise
        except RequestError as error:
            return refusal(str(error), BAD_REQUEST)
        except Exception as error:
            LOG.exception("%s failed", path)
            name = type(error).__name__
            return refusal(f"{path} failed ({name}); ComfyUI's log says where: please report it", OUR_FAULT)

    return answered


def refusal(sentence: str, status: int) -> web.Response:
    """The answer to what cannot be done."""
    return web.json_response({"error": sentence}, status=status)


async def json_of(request: web.Request, what: str) -> object:
    """The JSON that a request brings; `what` it should have been, for the sentence.

    Raises:
        RequestError: it is no JSON, is not text, holds NaN or infinite numbers, which are none and which no
            browser could read in an answer, or is nested too deeply to be read.
    """
    try:
        return json.loads(await request.text(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, LookupError, RecursionError) as error:  # LookupError: of an unknown encoding
        raise RequestError(f"{what}: it is no JSON ({error})") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:SHOWN]} is no number that can be used")
    return number
