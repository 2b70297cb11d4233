"""Calls of the pack's routes that no editor makes: odd bodies, headers, methods and paths.

Each can be made again from its seed and number. None is larger than MAX_BYTES but those that are meant to be
refused for their length.
"""

import gzip
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

ROUTES = ("/evertalk/estimate", "/evertalk/pause", "/evertalk/convert")
PREFIXES = ("", "/api")
"""The host answers each of its routes under both."""

SAMPLER = "8"
GRAPH: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "portrait.jpg"}},
    "2": {"class_type": "LoadAudio", "inputs": {"audio": "speech.flac"}},
    "4": {"class_type": "EverTalkVideoSource", "inputs": {"video": ["5", 0], "scene_cuts": "detect"}},
    "5": {"class_type": "LoadVideo", "inputs": {"file": "clip.mp4"}},
    "6": {"class_type": "EverTalkSpeakers", "inputs": {"audio_a": ["2", 0], "arrangement": "add"}},
    "7": {"class_type": "EverTalkAudioEmbeds", "inputs": {"audio": ["2", 0], "speakers": ["6", 0]}},
    "9": {"class_type": "PrimitiveInt", "inputs": {"value": ["10", 0]}},
    "10": {"class_type": "PrimitiveInt", "inputs": {"value": 9}},
    SAMPLER: {
        "class_type": "EverTalkSampler",
        "inputs": {
            "audio_embeds": ["7", 0],
            "start_image": ["1", 0],
            "source": ["4", 0],
            "size": "480p",
            "width": 832,
            "height": 480,
            "window_frames": 81,
            "motion_frames": ["9", 0],
        },
    },
}
"""What the estimate is asked with."""

JUNK: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 0.5, 1e308, 10**30, -(10**30), 2**63, 10**4000, 5e-324),
    *("", " ", "\0", "a" * 5_000, "b" * 200_000, "../x", "nan", "1e999", "/etc/passwd", "x [output]"),
    *(
        "../../../etc/passwd",
        "..\\..\\x",
        "\x1b[31m",
        "\u202egnp.exe",
        "CON",
        "a/" * 400,
        "~",
        "%00",
        "C:\\x",
    ),
    *(
        "\udc80.wav",
        "\ud800",
        "/dev/zero",
        "/proc/self/mem",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.wav",
    ),
    *("concat:a|b", "data:audio/wav;base64,", "pipe:0", "hostile.png", "hostile.wav", "torn.mp4", "."),
    *([], {}, [1], [None, None], ["1", 0], [["1", 0], 0], ["1", "x"], {"a": 1}, [[]] * 50, ["8", 0], [{}, 0]),
)
DEEP = 5_000
LONG_BYTES = 17 * 2**20
"""More than a body may have."""

TORN: tuple[bytes, ...] = (
    *(b"", b"{", b"[]", b"null", b"3", b'"text"', b"\xff\xfe", b"NaN", b"-Infinity", b"\xef\xbb\xbf{}"),
    *(b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP, b"[" * 500_000, b"9" * 5_000, b"{}" + b" " * 100, b"{}{}"),
    *(b'{"a": 1e999}', b'{"a": 1, "a": 2}', b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": "\xed\xa0\x80"}'),
    *(b"{'a': 1}", b'{"a": 0x1}', b'{"a\0b": 1}', b"\0" * 1_000, b"{}\0", '{"a": 1}'.encode("utf-16")),
    *(b'["' + b'","' * 100_000 + b'"]', b"[" + b"[]," * 300_000 + b"[]]", b"x" * LONG_BYTES),
    *(b"[" + b"1," * 2_000_000 + b"1]", b" " * LONG_BYTES, b'{"prompt": {}, "node": []}', b'{"nodes": [[]]}'),
)
HEADERS: tuple[dict[str, str], ...] = (
    *({"Content-Type": kind} for kind in ("", "text/plain", "multipart/form-data", "a" * 4_000, "/", ";;;=")),
    *({"Content-Type": f"application/json; charset={name}"} for name in ("no-such", "utf-16", "idna", "hex")),
    *({"Content-Type": f"application/json; charset={name}"} for name in ("x" * 3_000, "rot13", '"', "UTF-8")),
    *({"Content-Encoding": name} for name in ("gzip", "deflate", "br", "no-such", "gzip, gzip")),
    *({"Accept-Encoding": "x" * 3_000}, {"Cookie": "=;" * 500}, {"Range": "bytes=9-1"}, {"Expect": "tea"}),
    *({"X-Forwarded-For": "\x7f"}, {"If-None-Match": "*"}, {"Authorization": "Basic !"}, {"Connection": "x"}),
)
UNREAD = (("Content-Encoding", "br"), ("X-Forwarded-For", "\x7f"))
"""Headers that aiohttp refuses before it looks for a route."""

METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "LOCK", "post", "EVERTALK")
QUERIES = ("", "?", "?node=8&node=9", "?" + "a" * 3_000, "?%00=%ff", "?a=%ud800", "?;&=;", "?../../x", "#x")
ENDINGS = (
    *(
        "/",
        "//",
        "/../pause",
        "/%2e%2e/pause",
        "/..%2f..%2fetc%2fpasswd",
        "%00",
        "/%ff",
        "%",
        "/" + "a" * 4_000,
    ),
    *(";a=b", "/.", "%0d%0aX:%20y", "/\u00e9", "?x"),
)


@dataclass
class Call:
    """One request.

    Attributes:
        name: seed and number, and what is odd about it.
        method: of HTTP.
        path: with the query, as it is sent.
        body: of the request.
        headers: of the request.
        route: which of our routes answers it; "" if the host may.
    """

    name: str
    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])
    route: str = ""


class Calls:
    """Makes calls.

    Args:
        seed: all of them are made from.
        workflows: of WanVideoWrapper, that are converted.
    """

    def __init__(self, seed: int, workflows: list[Any]) -> None:
        self._seed = seed
        self._workflows = workflows

    def call(self, number: int) -> Call:
        """The call of a number; the routes and the kinds take turns."""
        draw = Random(f"{self._seed}:{number}")
        route = ROUTES[number % len(ROUTES)]
        call = Call(f"{self._seed}:{number} {route}", "POST", draw.choice(PREFIXES) + route, b"", {}, route)
        kinds: tuple[Callable[[Call, Random], str], ...] = (
            *(self._values, self._values, self._values, self._torn, self._cut, self._headers, self._packed),
            *(self._method, self._query, self._path, self._many),
        )
        call.name += f" {kinds[number // len(ROUTES) % len(kinds)](call, draw)}"
        return call

    def good(self, route: str) -> Call:
        """A call that is answered."""
        body = self._workflows[0] if route.endswith("convert") else {"node": SAMPLER, "prompt": GRAPH}
        return Call(f"good {route}", "POST", route, json.dumps(body).encode(), {}, route)

    def _asked(self, call: Call, draw: Random) -> Any:
        if call.route.endswith("convert"):
            return deepcopy(draw.choice(self._workflows))
        return {"node": SAMPLER, "prompt": deepcopy(GRAPH)}

    def _values(self, call: Call, draw: Random) -> str:
        """One to three values that do not belong where they are."""
        asked, told = self._asked(call, draw), ""
        for _ in range(draw.choice((1, 1, 2, 3))):
            place, key = draw.choice(places_of(asked))
            place[key] = deepcopy(draw.choice(JUNK))
            told += f" {ascii(key)[:40]} = {ascii(place[key])[:60]}"
        call.body = json.dumps(asked).encode()
        return f"values{told}"

    def _torn(self, call: Call, draw: Random) -> str:
        call.body = draw.choice(TORN)
        return f"body of {len(call.body)} bytes {call.body[:40]!r}"

    def _cut(self, call: Call, draw: Random) -> str:
        whole = bytearray(json.dumps(self._asked(call, draw)).encode())
        start = draw.randrange(len(whole))
        end = min(len(whole), start + draw.choice((0, 1, 40, len(whole))))
        whole[start:end] = draw.randbytes(draw.randrange(20))
        call.body = bytes(whole)
        return f"cut at {start} to {end}"

    def _headers(self, call: Call, draw: Random) -> str:
        call.body = json.dumps(self._asked(call, draw)).encode()
        call.headers = dict(draw.choice(HEADERS))
        if any(pair in UNREAD for pair in call.headers.items()):
            call.route = ""
        return f"headers {str(call.headers)[:80]}"

    def _packed(self, call: Call, draw: Random) -> str:
        """A body that is packed well, torn, or unpacks to far more than may come."""
        content = draw.choice((b"{}", b" " * LONG_BYTES, json.dumps(self._asked(call, draw)).encode()))
        packed = gzip.compress(content, 9)
        call.body = packed[: draw.choice((len(packed), len(packed) // 2, 3))]
        call.headers = {"Content-Encoding": "gzip"}
        return f"packed, {len(call.body)} of {len(packed)} bytes that are {len(content)}"

    def _method(self, call: Call, draw: Random) -> str:
        call.method, call.route = draw.choice(METHODS), ""
        call.body = draw.choice((b"", b"{}"))
        return call.method

    def _query(self, call: Call, draw: Random) -> str:
        query = draw.choice(QUERIES)
        call.path += query
        call.body = json.dumps(self._asked(call, draw)).encode()
        return f"query {query[:40]}"

    def _path(self, call: Call, draw: Random) -> str:
        ending = draw.choice(ENDINGS)
        call.path, call.route = quote(call.path + ending, safe="/%?;=&.#"), ""
        call.body = b"{}"
        return f"path {ending[:40]!r}"

    def _many(self, call: Call, draw: Random) -> str:
        """Thousands of nodes, some of which are in circles."""
        count = draw.choice((1_000, 20_000, 100_000))
        if call.route.endswith("convert"):
            kind = draw.choice(("Reroute", "GetNode", "SetNode", "WanVideoSampler", "Note", "LoadImage"))
            call.body = json.dumps(many_nodes(count, kind)).encode()
            return f"{count} of {kind}"
        node = {"class_type": "PrimitiveInt", "inputs": {"value": ["0", 0]}}
        call.body = json.dumps({"node": "0", "prompt": {str(one): node for one in range(count)}}).encode()
        return f"{count} nodes"


def places_of(value: Any) -> list[tuple[Any, Any]]:
    """Every part of a JSON value, as what holds it and the key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        for key, inner in holder.items() if isinstance(holder, dict) else enumerate(holder):
            found.append((holder, key))
            if isinstance(inner, dict | list) and inner:
                waiting.append(inner)
    return found


def many_nodes(count: int, kind: str) -> dict[str, Any]:
    """A workflow of the editor, of so many nodes of a kind, each linked to the one before in a circle."""
    nodes = [
        {
            "id": one,
            "type": kind,
            "inputs": [{"name": "", "type": "*", "link": one}],
            "outputs": [{"name": "", "type": "*", "links": []}],
            "widgets_values": [str(one)],
        }
        for one in range(count)
    ]
    links = [[one, (one - 1) % count, 0, one, 0, "*"] for one in range(count)]
    return {"nodes": nodes, "links": links}
