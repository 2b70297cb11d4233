"""The pack's own routes on the host's server."""

import sys
from collections.abc import Awaitable, Callable

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_post_route(path: str, answer: Answer) -> None:
    """Let the server answer a POST; called once, when the host loads the pack.

    Where packs are loaded without a server, as tools do that only list nodes, there is nobody to ask.
    """
    # Not imported: the server drags in its database and frontend, and the host imports it before any pack.
    server = sys.modules.get("server")
    instance = None if server is None else getattr(server.PromptServer, "instance", None)
    if instance is not None:
        instance.routes.post(path)(answer)
