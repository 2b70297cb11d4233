"""What a request may bring to the pack's routes, and what becomes of one that takes too long."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from evertalk_pack.nodes.host.report import request_json
from evertalk_pack.nodes.host.report.request_json import json_of, parsed
from evertalk_pack.nodes.host.report.routes import RequestError, in_sentences, worked_out


async def echo(request: web.Request, **limits: Any) -> web.Response:
    return web.json_response({"came": await json_of(request, "the body", **limits)})


def asked(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], **request: Any
) -> tuple[int, dict[str, Any]]:
    """The status and the answer of a route of a real aiohttp server."""

    async def ask() -> tuple[int, dict[str, Any]]:
        app = web.Application()
        app.router.add_post("/ask", in_sentences("/ask", answer))
        async with (
            TestServer(app) as server,
            ClientSession() as client,
            client.post(server.make_url("/ask"), **request) as response,
        ):
            return response.status, await response.json()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\xff\xfe{}", "it is not UTF-8"),
        (b"{", "it is not JSON"),
        (b"[" * 5_000, "it is not JSON"),
        (b"[" * 102 + b"]" * 102, "it is nested more than 100 deep"),
        (b'{"a": [1e999]}', "`1e999` is not a number that can be used"),
        (b"[-Infinity]", "`-Infinity` is not a number that can be used"),
        (b'{"a": 1, "a": 2}', "it names `a` twice"),
        (b'{"\\ud800": 1}', "holds half a character"),
        (b'[["\\udfff"]]', "holds half a character"),
        (b"[" + b"[]," * 500_000 + b"[]]", "it has more lists and values than any model or workflow"),
    ],
)
def test_what_no_route_can_use_is_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=f"the body: .*{sentence}"):
        parsed(body, "the body")


def test_what_a_route_can_use_comes_as_it_was_sent() -> None:
    body = b"[" * 100 + b"]" * 100
    assert asked(echo, data=body)[0] == 200
    assert asked(echo, data='{"é": ["\U0001f600", 1.5, null]}'.encode()) == (
        200,
        {"came": {"é": ["\U0001f600", 1.5, None]}},
    )
    long = b'["' + b"a" * request_json.BIG_BYTES + b'"]'
    assert asked(echo, data=long)[0] == 200, "it is read beside the loop"


@pytest.mark.parametrize("charset", ["no-such", "utf-16", "x" * 3_000])
def test_other_encodings_are_refused_by_name(charset: str) -> None:
    status, answer = asked(echo, data=b"{}", headers={"Content-Type": f"text/plain; charset={charset}"})
    assert status == 400
    assert answer["error"].startswith(f"the body: it came in the encoding `{charset[:80]}")


def test_body_that_is_too_long_is_refused_before_it_is_read() -> None:
    status, answer = asked(partial(echo, most_bytes=1_000), data=b" " * 100_000)
    assert (status, answer) == (
        400,
        {"error": "the body: it is longer than 1000 bytes; send a smaller workflow"},
    )


def test_body_that_does_not_end_is_not_waited_for() -> None:
    async def slowly() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    status, answer = asked(partial(echo, limit_s=0.1), data=slowly())
    assert (status, answer) == (400, {"error": "the body: it did not arrive within 0.1 s; send it again"})


def test_answer_that_takes_too_long_is_not_waited_for() -> None:
    end = threading.Event()

    async def never(_request: web.Request, most_at_once: int = 8) -> web.Response:
        await worked_out("the answer", lambda: end.wait(10), 0.1, most_at_once)
        return web.Response()

    status, answer = asked(never)
    assert (status, answer["error"]) == (503, "the answer: no answer after 0.1 s; try it again in a while")
    status, answer = asked(partial(never, most_at_once=1))
    assert (status, answer["error"]) == (503, "the answer: 1 requests are being answered; try it in a while")
    end.set()


def test_fault_of_ours_is_no_traceback_for_others() -> None:
    async def faulty(_request: web.Request) -> web.Response:
        raise OSError(5, "Input/output error", "/secret/place")

    status, answer = asked(faulty)
    assert status == 500
    assert answer == {"error": "/ask failed (OSError); ComfyUI's log says where: please report it"}
