"""Files of a run that the editor asks for when they have just been removed: no error, but an empty answer.

A window's part is removed as soon as its frames are in the whole video. An editor that heard of the part a
moment before asks for it a moment after; the host's 404 would stand in the browser's console as an error.
"""

from aiohttp import web

from ..report.routes import Answer

PATH_END = "/view"
"""The host shows files under /view and /api/view."""

MARK = "evertalk"
"""In the query of an address: whoever asks knows that the file may be gone (web/window_strip.js)."""

GONE, NOTHING = 404, 204


@web.middleware
async def nothing_for_gone(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Status 204 for a marked file that is not there; every other answer goes on as it is."""
    response = await handler(request)
    is_ours = request.path.endswith(PATH_END) and MARK in request.rel_url.query
    return web.Response(status=NOTHING) if is_ours and response.status == GONE else response
