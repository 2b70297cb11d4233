"""The pack's own routes on the host's server, and what it changes in the host's answers."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Answer], Awaitable[web.StreamResponse]]


def add_post_route(path: str, answer: Answer) -> None:
    """Let the server answer a POST; called once, when the host loads the pack.

    Where packs are loaded without a server, as tools do that only list nodes, there is nobody to ask.
    """
    server = _server()
    if server is not None:
        server.routes.post(path)(answer)


def add_middleware(middleware: Middleware) -> None:
    """Let every answer of the server pass through; called once, when the host loads the pack.

    A server that runs already takes no more of them, and its answers stay as they are.
    """
    server = _server()
    if server is not None and not server.app.frozen:
        server.app.middlewares.append(middleware)


def _server() -> Any:
    """The host's server, or None.

    Not imported: the server drags in its database and frontend, and the host imports it before any pack.
    """
    module = sys.modules.get("server")
    return None if module is None else getattr(module.PromptServer, "instance", None)
