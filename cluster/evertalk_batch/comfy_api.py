"""A client of one ComfyUI server on this machine: HTTP and the websocket, nothing else."""

import contextlib
import json
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
import websocket

from .errors import JobError, JobStoppedError, ServerError, ServerLostError
from .json_file import JsonObject

HTTP_TIMEOUT_S = 60
RECORD_TIMEOUT_S = 10
TICK_S = 0.5
TEXT_EVENT = 3
"""ComfyUI's number for a binary message that carries text (protocol.BinaryEventTypes.TEXT)."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is done while a job runs.

    Attributes:
        text: called with each sentence that a node shows.
        tick: called about every TICK_S seconds; may raise.
        silence_s: a server that tells nothing for so long is given up.
    """

    text: Callable[[str], None]
    tick: Callable[[], None]
    silence_s: float


class ComfyApi:
    """Speaks to the server at one address, such as "http://127.0.0.1:8188"."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client_id = uuid.uuid4().hex
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy: the server is on this machine

    def system_stats(self) -> JsonObject:
        """Versions and devices; the first answer means that the server is ready."""
        return self._json("GET", "/system_stats")

    def interrupt(self) -> None:
        """Stop the job that runs now."""
        self._json("POST", "/interrupt", body={})

    def upload(self, path: Path, name: str) -> None:
        """Put a file into the server's input folder.

        Raises:
            OSError: it cannot be read.
            ServerError: the server does not take it under this name.
        """
        with path.open("rb") as file:
            try:
                answer = self._session.post(
                    f"{self.address}/upload/image",
                    data={"overwrite": "true"},
                    files={"image": (name, file, "application/octet-stream")},
                    timeout=HTTP_TIMEOUT_S,
                )
            except requests.RequestException as error:
                raise ServerError(f"no answer from {self.address}/upload/image: {error}") from error
        if not answer.ok or answer.json()["name"] != name:
            raise ServerError(f"the server did not take {path} as {name}: {answer.text[:300]}")

    def run(self, nodes: JsonObject, watch: Watch) -> JsonObject:
        """Queue a workflow and wait for its end; gives what the output nodes reported, by node id.

        Raises:
            JobError: it was refused or failed.
            JobStoppedError: it was interrupted.
            ServerLostError: the connection ended, or nothing came for too long.
        """
        address = f"{self.address.replace('http', 'ws', 1)}/ws?clientId={self._client_id}"
        try:
            # Opened before the job is queued: one whose results are all known ends at once.
            socket = websocket.create_connection(address, timeout=HTTP_TIMEOUT_S, http_no_proxy=["*"])
        except (OSError, websocket.WebSocketException) as error:
            raise ServerLostError(f"no connection to {address}: {error}") from error
        with contextlib.closing(socket):
            prompt_id = self._queue(nodes)
            socket.settimeout(TICK_S)
            self._follow(socket, prompt_id, watch)
        return self._record(prompt_id)["outputs"]

    def _queue(self, nodes: JsonObject) -> str:
        body = json.dumps({"prompt": nodes, "client_id": self._client_id})
        try:
            answer = self._session.post(
                f"{self.address}/prompt",
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=HTTP_TIMEOUT_S,
            )
        except requests.RequestException as error:
            raise ServerLostError(f"no answer from {self.address}/prompt: {error}") from error
        try:
            content: JsonObject = answer.json()
        except ValueError as error:
            raise JobError(f"The workflow was refused: {answer.text[:500]}") from error
        # The server runs what is left when one of several output nodes is refused, and calls that a success.
        if not answer.ok or content.get("node_errors"):
            raise JobError(_refusal(content, nodes))
        return content["prompt_id"]

    def _follow(self, socket: websocket.WebSocket, prompt_id: str, watch: Watch) -> None:
        heard_s = ticked_s = time.monotonic()
        while True:
            if time.monotonic() - ticked_s >= TICK_S:
                watch.tick()
                ticked_s = time.monotonic()
            try:
                kind, data = socket.recv_data()
            except websocket.WebSocketTimeoutException:
                if time.monotonic() - heard_s > watch.silence_s:
                    raise ServerLostError(f"the server told nothing for {watch.silence_s:.0f} s") from None
                continue
            except (OSError, websocket.WebSocketException) as error:
                raise ServerLostError(f"the server closed the connection ({error})") from error
            heard_s = time.monotonic()
            if kind == websocket.ABNF.OPCODE_CLOSE:
                raise ServerLostError("the server closed the connection before the job ended")
            if kind == websocket.ABNF.OPCODE_BINARY:
                text = binary_text(data)
                if text is not None:
                    watch.text(text)
            elif kind == websocket.ABNF.OPCODE_TEXT and _has_ended(json.loads(data), prompt_id):
                return

    def _record(self, prompt_id: str) -> JsonObject:
        # The server tells of the end first and writes its record then.
        deadline_s = time.monotonic() + RECORD_TIMEOUT_S
        while True:
            try:
                record = self._json("GET", f"/history/{prompt_id}").get(prompt_id)
            except ServerError as error:
                raise ServerLostError(str(error)) from error
            if record:
                return record
            if time.monotonic() > deadline_s:
                raise ServerLostError(f"the server keeps no record of job {prompt_id} although it has ended")
            time.sleep(0.05)

    def _json(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        try:
            answer = self._session.request(method, self.address + path, json=body, timeout=HTTP_TIMEOUT_S)
            answer.raise_for_status()
            return answer.json() if answer.content else {}
        except (requests.RequestException, ValueError) as error:
            raise ServerError(f"no good answer from {self.address}{path}: {error}") from error


def binary_text(message: bytes) -> str | None:
    """The text in a binary message (event number, id's length, id, text), or None if it is a preview."""
    if len(message) < 8:
        return None
    kind, id_length = struct.unpack_from(">II", message)
    return message[8 + id_length :].decode(errors="replace") if kind == TEXT_EVENT else None


def _has_ended(message: JsonObject, prompt_id: str) -> bool:
    data = message.get("data") or {}
    if data.get("prompt_id") != prompt_id:
        return False
    if message["type"] == "execution_interrupted":
        raise JobStoppedError(f"interrupted in node {data['node_id']} ({data['node_type']})")
    if message["type"] == "execution_error":
        raise JobError(
            f"node {data['node_id']} ({data['node_type']}): {data['exception_message'].strip()}",
            trace="".join(data["traceback"]).rstrip(),
        )
    return message["type"] == "execution_success"


def _refusal(answer: JsonObject, nodes: JsonObject) -> str:
    """One sentence for all that the server found wrong."""
    error = answer.get("error") or {}
    first = f"{error.get('message', 'a part of it')} {error.get('details', '')}".strip()
    found = [
        f"node {node_id} ({nodes[node_id]['class_type']}): {one['message']}: {one['details']}"
        for node_id, node in dict(answer.get("node_errors") or {}).items()
        for one in node["errors"]
    ]
    return "; ".join([f"The workflow was refused: {first}", *found])
