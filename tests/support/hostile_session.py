"""Sends prompts to a server and tells what went wrong with them: a find is one line."""

import http.client
import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from comfy_server import LINK_NAME, ComfyServer
from evertalk_pack.multitalk.common.errors import EverTalkError
from hostile_answers import ANSWER_S, GROWTH_BYTES, forget_peak, memory_bytes, timed_answer, wrong_sentence
from hostile_prompts import Case, Prompts

END_S, PATIENCE_S = 60.0, 0.5
MOST_CHARACTERS = 10_000
"""Of one sentence of ours, whatever came."""

OUR_FRAMES = f"custom_nodes/{LINK_NAME}"
CHECK_EVERY = 50


def names_below(kind: type[BaseException]) -> set[str]:
    """The names of an error and of all that derive from it."""
    return {kind.__name__}.union(*(names_below(one) for one in kind.__subclasses__()))


OUR_ERRORS = names_below(EverTalkError)


@dataclass
class Session:
    """A server that is sent prompts.

    Attributes:
        finds: what went wrong, one line each.
        counts: how the prompts ended.
        slowest_s: of the answers.
        peak_bytes: of the server's memory.
        last: what the last job or answer said.
    """

    server: ComfyServer
    prompts: Prompts
    finds: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    slowest_s: float = 0.0
    peak_bytes: int = 0
    last: Any = None

    def run(self, first: int, count: int) -> None:
        """Send so many prompts, and now and then a good one, which must end well."""
        for number in range(first, first + count):
            case = self.prompts.case(number)
            found = self.send(case)
            self.finds += [f"{case.name}: {line}" for line in found]
            is_dead = any(line.startswith("no end") for line in found)
            if is_dead or number % CHECK_EVERY == CHECK_EVERY - 1:
                self._check_worker(number)

    def _check_worker(self, number: int) -> None:
        good = self.prompts.good("EverTalkGuidance")
        good["EverTalkGuidance"]["inputs"]["audio_scale"] = 1 + number % 1000 / 1000
        found = self.send(Case(f"good job after {number}", "", good))
        if found or not self._ends["success"]:
            self.finds.append(f"the worker does no more jobs after {number}: {found}")
            self.server.kill()
            self.server.start()

    def send(self, case: Case) -> list[str]:
        """What is wrong with how the server deals with a prompt; empty if nothing is."""
        self._ends: Counter[str] = Counter()
        before = memory_bytes(self.server.pid, "VmRSS")
        forget_peak(self.server.pid)
        body = json.dumps({"prompt": case.prompt, "extra_data": {"extra_pnginfo": case.pnginfo}}).encode()
        try:
            status, answer = self._answer("POST", "/prompt", body)
        except (TimeoutError, http.client.HTTPException, OSError) as error:
            return [f"no answer within {ANSWER_S:g} s, twice ({type(error).__name__})"]
        self.last = answer
        found = wrong_answers(status, answer)
        if status == 200:
            # A node that was refused is left out; what else can run does.
            refused = answer["node_errors"].keys() & {case.node}
            found += self._wait(answer["prompt_id"], replace(case, must_fail="") if refused else case)
        else:
            self._ends["refused"] += 1
        peak = memory_bytes(self.server.pid, "VmHWM")
        self.peak_bytes = max(self.peak_bytes, peak)
        if peak - before > GROWTH_BYTES and not self._ends["success"]:
            found.append(f"{(peak - before) / 1e9:.1f} GB of memory for what was refused")
        self.counts += self._ends
        return found

    def _wait(self, prompt_id: str, case: Case) -> list[str]:
        """Wait for a job's end; one that may run is interrupted when it takes its time."""
        began, is_asked = time.monotonic(), False
        while time.monotonic() - began < END_S:
            try:
                record = self._answer("GET", f"/history/{prompt_id}")[1].get(prompt_id)
            except (TimeoutError, http.client.HTTPException, OSError) as error:
                return [f"no answer within {ANSWER_S:g} s while it runs, twice ({type(error).__name__})"]
            if record is not None:
                return self._judged(record["status"], case)
            if not case.must_fail and not is_asked and time.monotonic() - began > PATIENCE_S:
                self._call("POST", "/interrupt", json.dumps({"prompt_id": prompt_id}).encode())
                is_asked = True
            time.sleep(0.01)
        return [f"no end within {END_S:g} s"]

    def _judged(self, status: dict[str, Any], case: Case) -> list[str]:
        told = dict(status["messages"])
        self.last = told.get("execution_error", {}).get("exception_message")
        if "execution_error" in told:
            self._ends["failed with a sentence"] += 1
            return wrong_errors(told["execution_error"])
        end = "interrupted" if "execution_interrupted" in told else "success"
        self._ends[end] += 1
        ignored = end == "success" and case.must_fail
        return [f"it ended well although {case.must_fail}"] if ignored else []

    def _answer(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        took_s, answer = timed_answer(lambda: self._call(method, path, body))
        self.slowest_s = max(self.slowest_s, took_s)
        return answer

    def _call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        host = self.server.client.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=ANSWER_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text or b"{}")
        except ValueError:
            return response.status, text.decode(errors="replace")


def wrong_answers(status: int, answer: Any) -> list[str]:
    """What is wrong with the server's answer to a prompt."""
    if status not in (200, 400) or not isinstance(answer, dict):
        return [f"status {status}: {str(answer)[:200]}"]
    found: list[str] = []
    for node in answer.get("node_errors", {}).values():
        for error in node["errors"]:
            trace = "".join(error.get("extra_info", {}).get("traceback", []))
            if OUR_FRAMES in trace:
                found.append(f"a traceback of ours: {ascii(error['details'])[:150]} {trace.strip()[-150:]}")
            if error["type"] == "custom_validation_failed":
                found += wrong_sentence(error["details"], MOST_CHARACTERS)
    return found


def wrong_errors(error: dict[str, Any]) -> list[str]:
    """What is wrong with how a job failed."""
    kind, message = error["exception_type"], error["exception_message"]
    place = f"{error['node_type']}: {kind}: {ascii(message)[:150]}"
    is_ours = error["node_type"].startswith("EverTalk") or OUR_FRAMES in "".join(error["traceback"])
    if is_ours and kind.rsplit(".", 1)[-1] not in OUR_ERRORS:
        return [f"a raw error in {place} {''.join(error['traceback']).strip()[-200:]}"]
    return wrong_sentence(message, MOST_CHARACTERS) if is_ours else []
