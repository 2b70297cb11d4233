"""The JSON that a request brings: read with limits, beside the event loop, and looked at before it is used.

Whoever can reach the server can post to its routes. A body that is too long, too deep, torn, compressed into
nothing, of another encoding, or that never ends is refused by a sentence, and while it is read the server
answers others.
"""

import asyncio
import math
import zlib
from typing import NoReturn

from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from ....attention.plain_text import is_encodable
from ....wanvideo.header_limits import JsonLimitError, bounded_json, json_layers, short
from .routes import RequestError, worked_out

MAX_BODY_BYTES = 16 * 2**20
"""The bundled workflows have 50 kB, large ones a few megabytes. 16 MiB of lists take 0.3 s to read."""

BIG_BYTES = 2**16
"""What is longer is read beside the event loop; below that a thread costs more than reading."""

MAX_DEPTH = 100
"""Of lists and objects in one another: a workflow of the editor has ten, its subgraphs some more."""

BODY_S = 30.0
"""How long a body may take to arrive."""

CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
"""JSON is UTF-8 (RFC 8259, 8.1)."""

BROKEN_BODY = (web.RequestPayloadError, ClientError, HttpProcessingError, zlib.error, ValueError, OSError)
"""What aiohttp raises where a body does not keep to its own headers, or its sender has left."""


async def json_of(
    request: web.Request, what: str, most_bytes: int = MAX_BODY_BYTES, limit_s: float = BODY_S
) -> object:
    """The JSON that a request brings; `what` it should have been, for the sentence.

    Raises:
        RequestError: it is not UTF-8 or no JSON, is too long, too deep or too slow, names something twice, or
            holds what no answer can hold: NaN, infinite numbers, halves of characters.
    """
    _check_charset(request.charset, what)
    return await json_in(await body_of(request, what, most_bytes, limit_s), request.charset, what)


async def json_in(body: bytes, charset: str | None, what: str) -> object:
    """The value of a body that has come; see json_of."""
    _check_charset(charset, what)
    if len(body) > MAX_BODY_BYTES:
        raise _too_long(what, MAX_BODY_BYTES)
    return (
        parsed(body, what) if len(body) <= BIG_BYTES else await worked_out(what, lambda: parsed(body, what))
    )


async def body_of(
    request: web.Request, what: str, most_bytes: int = MAX_BODY_BYTES, limit_s: float = BODY_S
) -> bytes:
    """What a request brings, unpacked.

    Raises:
        RequestError: it is longer than `most_bytes`, broken, or does not arrive within `limit_s`.
    """
    try:
        return await asyncio.wait_for(_arrived(request, what, most_bytes), limit_s)
    except asyncio.TimeoutError as error:
        raise RequestError(f"{what}: it did not arrive within {limit_s:g} s; send it again") from error


def _check_charset(charset: str | None, what: str) -> None:
    named = (charset or CHARSETS[0]).lower()
    if named not in CHARSETS:
        raise RequestError(f"{what}: it came in the encoding {short(named)}, expected JSON in UTF-8")


def _too_long(what: str, most_bytes: int) -> RequestError:
    return RequestError(f"{what}: it is longer than {most_bytes} bytes; send a smaller workflow")


async def _arrived(request: web.Request, what: str, most_bytes: int) -> bytes:
    """What the request brings; no more of it is held than may come."""
    body = bytearray()
    try:
        async for piece in request.content.iter_chunked(BIG_BYTES):
            body += piece
            if len(body) > most_bytes:
                break
    except BROKEN_BODY as error:
        raise RequestError(f"{what}: it broke off, or is not packed as its headers say") from error
    if len(body) > most_bytes:
        raise _too_long(what, most_bytes)
    return bytes(body)


def parsed(body: bytes, what: str) -> object:
    """The value of some JSON; see json_of."""
    try:
        value: object = bounded_json(body, parse_constant=_no_number, parse_float=_finite)
        _check(value)
    except JsonLimitError as error:
        raise RequestError(f"{what}: {error}") from error
    return value


def _check(value: object) -> None:
    """Refuse what is nested too deeply for everything after this, and texts that cannot be encoded."""
    for depth, layer in enumerate(json_layers(value)):
        if depth > MAX_DEPTH:
            raise JsonLimitError(f"it is nested more than {MAX_DEPTH} deep")
        for text in layer:
            if isinstance(text, str) and not is_encodable(text):
                raise JsonLimitError(f"{short(text)} holds half a character, which cannot be written")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text)
    return number


def _no_number(text: str) -> NoReturn:
    raise JsonLimitError(f"{short(text)} is not a number that can be used")
