"""Sends calls of routes to a server and tells what went wrong with them: a find is one line."""

import contextlib
import http.client
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from comfy_server import ComfyServer
from hostile_answers import ANSWER_S, GROWTH_BYTES, forget_peak, memory_bytes, timed_answer, wrong_sentence
from hostile_routes import Call, Calls

MOST_CHARACTERS = 2_200
RAW = ("[Errno", "FFmpegError", "Traceback", "Invalid data found")
CHECK_EVERY = 25
AIOHTTP_S_OWN = ("RequestPayloadError: 400", "ContentEncodingError: 400", "BadHttpMessage: 400")
REFUSALS = (400, 409)


@dataclass
class CallSession:
    """A server that is sent calls.

    Attributes:
        finds: what went wrong, one line each.
        counts: how the calls were answered: by our routes, by their status; else "host" and the status.
        slowest_s: of the answers.
        slowest: the call that it came to.
        growth_bytes: of the server's memory by one call that was refused, at most.
    """

    server: ComfyServer
    calls: Calls
    finds: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    slowest_s: float = 0.0
    slowest: str = ""
    growth_bytes: int = 0

    def run(self, first: int, count: int) -> None:
        """Send so many calls, and now and then good ones, which must be answered."""
        for number in range(first, first + count):
            self.send(self.calls.call(number))
            if number % CHECK_EVERY == CHECK_EVERY - 1:
                self.check_alive()

    def check_alive(self) -> None:
        """The server still answers what is right."""
        for route, expected in (("estimate", 200), ("convert", 200), ("pause", 409)):
            call = self.calls.good(f"/evertalk/{route}")
            status, _ = self._call(call)
            if status != expected:
                self.finds.append(f"{call.name}: status {status}, expected {expected}")

    def send(self, call: Call) -> None:
        """Send one, and note what is wrong with its answer."""
        logged, stood = len(self.server.log), self._files()
        before = memory_bytes(self.server.pid, "VmRSS")
        forget_peak(self.server.pid)
        try:
            took_s, (status, text) = timed_answer(lambda: self._call(call))
        except (TimeoutError, http.client.HTTPException, OSError) as error:
            self.finds.append(f"{call.name}: no answer within {ANSWER_S:g} s, twice ({error!r})")
            return
        if took_s > self.slowest_s:
            self.slowest_s, self.slowest = took_s, call.name
        found = wrong_answers(call, status, text)
        told = self.server.log[logged:]
        # aiohttp itself logs what it refuses before a route is asked, and, behind our answer, the end of what
        # is not packed as its headers say.
        if "Traceback" in told and not any(own in told for own in AIOHTTP_S_OWN):
            found.append(f"a traceback in the log: {told.strip()[-300:]}")
        if new := self._files() - stood:
            found.append(f"it wrote {sorted(new)[:3]}")
        growth = memory_bytes(self.server.pid, "VmHWM") - before
        if status != 200:
            self.growth_bytes = max(self.growth_bytes, growth)
            if growth > GROWTH_BYTES:
                found.append(f"{growth / 1e9:.1f} GB of memory for what was refused")
        self.counts[f"{call.route or 'host'} {status}"] += 1
        self.finds += [f"{call.name}: {line}" for line in found]

    def _call(self, call: Call) -> tuple[int, bytes]:
        host = self.server.client.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=ANSWER_S)
        try:
            connection.putrequest(call.method, call.path.split("#")[0], skip_accept_encoding=True)
            for name, value in {"Content-Length": str(len(call.body)), **call.headers}.items():
                connection.putheader(name, value)
            # The answer may come before the body has gone.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(call.body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _files(self) -> set[str]:
        """What is in the server's folders, but for what the host itself keeps."""
        return {
            str(path.relative_to(self.server.base))
            for name in ("input", "output", "temp", "models", "custom_nodes")
            for path in (self.server.base / name).rglob("*")
        }


def wrong_answers(call: Call, status: int, text: bytes) -> list[str]:
    """What is wrong with an answer."""
    if not call.route:
        # The host's own answers: our routes take POST alone, under their own names.
        return [f"status {status}: {text[:150]!r}"] if status >= 500 and status != 501 else []
    if status == 417 and "Expect" in call.headers:
        return []  # aiohttp's, before any route
    if status not in (200, *REFUSALS):
        return [f"status {status}: {text[:150]!r}"]
    try:
        answer: Any = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        return [f"status {status}, and no JSON ({error}): {text[:80]!r}"]
    sentence = answer.get("error" if status in REFUSALS else "problem", "")
    if status in REFUSALS and (list(answer) != ["error"] or len(sentence) < 20):
        return [f"a refusal without a sentence: {str(answer)[:200]}"]
    return wrong_sentence(sentence, MOST_CHARACTERS, RAW)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} in JSON")
