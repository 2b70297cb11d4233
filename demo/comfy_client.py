"""A client of a running ComfyUI server: upload, queue, follow, interrupt, fetch the results.

The demo, the batches of cluster/ (a link), the benchmarks, docs/examples/client.py and the tests speak to the
server through this file alone, over HTTP and the websocket as any other program would. It needs aiohttp and
nothing else, so it can be copied.
"""

import asyncio
import http.client
import json
import math
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

JsonObject: TypeAlias = dict[str, Any]

HTTP_TIMEOUT_S = 60
RECORD_TIMEOUT_S = 10
TICK_S = 0.5
TEXT_EVENT = 3
"""ComfyUI's number for a binary message that carries text (protocol.BinaryEventTypes.TEXT)."""

PACK_MESSAGE = "evertalk"
"""The type of EverTalk's own messages on the websocket."""

SMALL_JOB: JsonObject = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 1, "height": 1, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
"""A workflow that needs no model."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses without the proxy that the environment may name: the server is on this machine."""


class ServerError(Exception):
    """The server refused a request, could not be reached, ended during a job or said nothing for too long."""


class RefusedError(ServerError):
    """The server answered a request with an error.

    Attributes:
        answer: what it said.
    """

    def __init__(self, message: str, answer: str) -> None:
        super().__init__(message)
        self.answer = answer


class JobError(Exception):
    """A queued job was refused or failed; the message names the node and says why.

    Attributes:
        trace: where in the server's code a node failed; empty if the job was refused.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class JobInterruptedError(JobError):
    """A queued job was interrupted."""


@dataclass(frozen=True, slots=True)
class TextEvent:
    """A node says something to be shown to the user."""

    node_id: str
    text: str


@dataclass(frozen=True, slots=True)
class StepEvent:
    """A node has done `value` of `maximum` steps."""

    node_id: str
    value: float
    maximum: float


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """A node has begun."""

    node_id: str


@dataclass(frozen=True, slots=True)
class PackEvent:
    """What EverTalk itself tells of a run (nodes/host/report/events.py): windows and warnings."""

    node_id: str
    kind: str
    data: JsonObject


Event: TypeAlias = TextEvent | StepEvent | NodeEvent | PackEvent


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished job left behind.

    Attributes:
        prompt_id: the job's id.
        outputs: what each output node reported to the interface, by node id.
        cached_nodes: ids of the nodes whose earlier result was used again.
    """

    prompt_id: str
    outputs: JsonObject
    cached_nodes: tuple[str, ...]


class ComfyClient:
    """Speaks to the server at one address, such as "http://127.0.0.1:8188"."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self.client_id = uuid.uuid4().hex

    def system_stats(self) -> JsonObject:
        """Versions and devices; the first answer means that the server is ready."""
        return self._request("/system_stats")

    def object_info(self) -> JsonObject:
        """The schema of every node the server knows, by node id."""
        return self._request("/object_info")

    def history(self, prompt_id: str) -> JsonObject:
        """The record of a finished job, empty if there is none."""
        return self._request(f"/history/{prompt_id}").get(prompt_id, {})

    def interrupt(self) -> None:
        """Stop the job that runs now."""
        self.ask("/interrupt", {})

    def is_busy(self) -> bool:
        """Whether a job runs or waits."""
        queue = self._request("/queue")
        return bool(queue["queue_running"] or queue["queue_pending"])

    def clear_queue(self) -> None:
        """Take out of the queue what waits in it."""
        self.ask("/queue", {"clear": True})

    def save_settings(self, settings: JsonObject) -> None:
        """Set what the editor remembers of its user."""
        self.ask("/settings", settings)

    def template(self, name: str) -> JsonObject:
        """One of this pack's workflows, as the template browser gets it."""
        templates: dict[str, list[str]] = self._request("/workflow_templates")
        module = next(module for module, names in templates.items() if name in names)
        return self._request(f"/api/workflow_templates/{urllib.parse.quote(module)}/{name}.json")

    def forget(self, timeout_s: float = 1800) -> None:
        """Drop the results that the server keeps, and unload its models, before the next job.

        The server does so between two jobs, but may take one that waits before that: a small job, whose end
        is waited for, comes first.
        """
        self.ask("/free", {"free_memory": True, "unload_models": True})
        self.run(SMALL_JOB, timeout_s=timeout_s)

    def ask(self, path: str, body: JsonObject | None = None) -> JsonObject:
        """What the server answers at a path, to `body` if there is one; raises ServerError."""
        data = None if body is None else json.dumps(body).encode()
        return self._request(path, data, "application/json")

    def upload(self, file: Path, name: str | None = None) -> str:
        """Put a picture, sound or video into the server's input folder; returns its name there."""
        boundary = uuid.uuid4().hex
        field = f"--{boundary}\r\nContent-Disposition: form-data; "
        quoted = (name or file.name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = (
            f'{field}name="overwrite"\r\n\r\ntrue\r\n'
            f'{field}name="image"; filename="{quoted}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self._request("/upload/image", body, f"multipart/form-data; boundary={boundary}")["name"]

    def view(self, filename: str, subfolder: str = "", folder: str = "output") -> bytes:
        """The bytes of a file in the server's output, input or temp folder."""
        query = urllib.parse.urlencode({"filename": filename, "subfolder": subfolder, "type": folder})
        return self._bytes(f"/view?{query}")

    def queue(self, workflow: JsonObject) -> str:
        """Queue a workflow in API format; returns the job's id. Raises JobError if any of it is refused.

        The server runs what is left when one of several output nodes is refused, and calls that a success.
        """
        try:
            answer = self.ask("/prompt", {"prompt": workflow, "client_id": self.client_id})
        except RefusedError as error:
            raise JobError(describe_refusal(error.answer, workflow)) from error
        if answer.get("node_errors"):
            raise JobError("\n".join(["A part of the workflow was refused:", *node_lines(answer, workflow)]))
        return answer["prompt_id"]

    def run(
        self,
        workflow: JsonObject,
        on_event: Callable[[Event], None] | None = None,
        timeout_s: float | None = 1800,
        *,
        tick: Callable[[], None] | None = None,
        silence_s: float = math.inf,
    ) -> Outcome:
        """Queue a workflow and wait for its end.

        Args:
            workflow: in API format.
            on_event: called for everything that the server tells meanwhile, on this thread.
            timeout_s: of the whole job; None: as long as it takes.
            tick: called about every TICK_S seconds, on this thread; may raise.
            silence_s: how long the server may say nothing.

        Raises:
            JobError: the job is refused or fails.
            JobInterruptedError: it was interrupted.
            ServerError: the server is lost, or silent for too long.
            TimeoutError: the job takes too long.
        """
        job = self._follow(workflow, on_event or _ignore, tick or _wait, silence_s)
        try:
            return asyncio.run(asyncio.wait_for(job, timeout_s))
        except aiohttp.ClientError as error:
            raise ServerError(f"The connection to {self.address} was lost: {error}") from error

    async def _follow(
        self,
        workflow: JsonObject,
        on_event: Callable[[Event], None],
        tick: Callable[[], None],
        silence_s: float,
    ) -> Outcome:
        # The socket is opened before the job is queued: a job whose results are all cached ends at once.
        async with aiohttp.ClientSession() as session, await self._connect(session) as socket:
            prompt_id = self.queue(workflow)
            cached_nodes: tuple[str, ...] = ()
            async for message in _messages(socket, tick, silence_s):
                if message.type == aiohttp.WSMsgType.BINARY:
                    text = parse_text(message.data)
                    if text is not None:
                        on_event(text)
                elif message.type == aiohttp.WSMsgType.TEXT:
                    kind, data = parse_message(message.data)
                    if data.get("prompt_id") != prompt_id:
                        continue
                    if kind == "execution_cached":
                        cached_nodes = tuple(data["nodes"])
                    if kind == "execution_success":
                        record = await asyncio.to_thread(self._record, prompt_id)
                        return Outcome(prompt_id, record["outputs"], cached_nodes)
                    raise_for_failure(kind, data)
                    for event in events_of(kind, data):
                        on_event(event)
        raise ServerError("The server closed the connection before the job ended; its log says why.")

    async def _connect(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        url = f"{self.address}/ws?clientId={self.client_id}"
        try:
            return await asyncio.wait_for(session.ws_connect(url, max_msg_size=0), HTTP_TIMEOUT_S)
        except asyncio.TimeoutError as error:
            raise ServerError(f"No answer from {self.address}/ws.") from error

    def _record(self, prompt_id: str) -> JsonObject:
        # The server tells of the end first and writes its record then.
        deadline_s = time.monotonic() + RECORD_TIMEOUT_S
        while not (record := self.history(prompt_id)):
            if time.monotonic() > deadline_s:
                raise ServerError(f"The server keeps no record of job {prompt_id} although it has ended.")
            time.sleep(0.05)
        return record

    def _request(self, path: str, body: bytes | None = None, content_type: str = "") -> JsonObject:
        answer = self._bytes(path, body, content_type)
        try:
            return json.loads(answer) if answer else {}
        except ValueError as error:
            raise ServerError(f"{self.address}{path} did not answer with JSON: {answer[:300]!r}") from error

    def _bytes(self, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        headers = {"Content-Type": content_type} if content_type else {}
        request = urllib.request.Request(self.address + path, body, headers)
        try:
            with _DIRECT.open(request, timeout=HTTP_TIMEOUT_S) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")
            message = f"{path} was refused with status {error.code}: {detail[:500]}"
            raise RefusedError(message, detail) from error
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"No answer from {self.address}{path}: {error}") from error


def _ignore(event: Event) -> None:
    del event


def _wait() -> None:
    pass


async def _messages(
    socket: aiohttp.ClientWebSocketResponse, tick: Callable[[], None], silence_s: float
) -> AsyncGenerator[aiohttp.WSMessage, None]:
    """Until the server closes the connection."""
    heard_s = ticked_s = time.monotonic()
    while True:
        if time.monotonic() - ticked_s >= TICK_S:
            tick()
            ticked_s = time.monotonic()
        try:
            message = await socket.receive(TICK_S)
        except asyncio.TimeoutError:
            if time.monotonic() - heard_s > silence_s:
                raise ServerError(f"The server told nothing for {silence_s:.0f} s.") from None
            continue
        heard_s = time.monotonic()
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
            return
        if message.type == aiohttp.WSMsgType.ERROR:
            raise ServerError(f"The connection to the server was lost: {message.data}")
        yield message


def parse_text(message: bytes) -> TextEvent | None:
    """The text in a binary message (event number, id's length, id, text), or None if it is a preview."""
    if len(message) < 8:
        return None
    kind, id_length = struct.unpack_from(">II", message)
    node_id, text = message[8 : 8 + id_length], message[8 + id_length :]
    return TextEvent(node_id.decode(), text.decode(errors="replace")) if kind == TEXT_EVENT else None


def parse_message(message: str) -> tuple[str, JsonObject]:
    """The kind and the content of a JSON message."""
    parsed: JsonObject = json.loads(message)
    return parsed["type"], parsed.get("data") or {}


def events_of(kind: str, data: JsonObject) -> list[Event]:
    """What a message tells about the progress of a job."""
    if kind == "executing" and data["node"] is not None:
        return [NodeEvent(data["node"])]
    if kind == PACK_MESSAGE:
        return [PackEvent(str(data["node"]), str(data["kind"]), data)]
    if kind == "progress_state":
        running = [node for node in data["nodes"].values() if node["state"] == "running"]
        return [StepEvent(node["real_node_id"], node["value"], node["max"]) for node in running]
    return []


def raise_for_failure(kind: str, data: JsonObject) -> None:
    """Raise if a message says that the job has failed or was interrupted."""
    if kind == "execution_interrupted":
        raise JobInterruptedError(f"The job was interrupted in node {data['node_id']} ({data['node_type']}).")
    if kind == "execution_error":
        raise JobError(
            f"Node {data['node_id']} ({data['node_type']}) failed: {data['exception_message'].strip()} "
            f"[{data['exception_type']}]",
            trace="".join(data["traceback"]).rstrip(),
        )


def describe_refusal(answer: str, workflow: JsonObject) -> str:
    """Turn the server's refusal of a workflow into sentences: one line a node and mistake."""
    try:
        refusal: JsonObject = json.loads(answer)
    except json.JSONDecodeError:
        return f"The workflow was refused: {answer[:500]}"
    error = refusal["error"]
    first = f"The workflow was refused: {error['message']} {error['details']}".rstrip()
    return "\n".join([first, *node_lines(refusal, workflow)])


def node_lines(answer: JsonObject, workflow: JsonObject) -> list[str]:
    """What the server found wrong with single nodes, one line a node and mistake."""
    return [
        f"  node {node_id} ({workflow[node_id]['class_type']}): {one['message']}: {one['details']}"
        for node_id, node in dict(answer["node_errors"]).items()
        for one in node["errors"]
    ]
