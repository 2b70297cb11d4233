"""POST /evertalk/convert: a workflow of WanVideoWrapper -> one of EverTalk, and what was lost."""

import json
from io import BytesIO
from typing import Any

from aiohttp import web

from ....attention.plain_text import plain
from ....convert.conversion import convert
from ....convert.errors import ConvertError
from ....convert.stored import HEAD_BYTES, is_media, stored_workflow
from ....multitalk.common.errors import InputError, RunStoreError
from ..report.request_json import body_of, json_in
from ..report.routes import RequestError, worked_out
from ..run.video_file import check_prefix

ROUTE = "/evertalk/convert"

MAX_MEDIA_BYTES = 128 * 2**20
"""Of a picture or video that is posted; the script takes larger ones."""


def host_inputs() -> dict[str, Any]:
    """The inputs and outputs of every node that the host knows, as /object_info describes them.

    A node that cannot describe itself, for instance because its files are gone, is left out: the server
    answers /object_info in the same way.
    """
    from nodes import NODE_CLASS_MAPPINGS  # noqa: PLC0415, TID251  # the host's; it exists only in a server

    described: dict[str, Any] = {}
    classes: dict[str, Any] = NODE_CLASS_MAPPINGS
    for kind, node in classes.items():
        try:
            is_new = hasattr(node, "GET_NODE_INFO_V1")
            about = node.GET_NODE_INFO_V1() if is_new else {}
            inputs = about["input"] if is_new else node.INPUT_TYPES()
            outputs = about["output"] if is_new else getattr(node, "RETURN_TYPES", ())
        except Exception:  # noqa: BLE001  # any pack's code may run here
            continue
        described[kind] = {"input": inputs, "output": outputs}
    return described


def name_rule(prefix: str) -> str:
    """What the sampler would say against a filename_prefix; empty if it takes it."""
    try:
        check_prefix(prefix)
    except InputError as error:
        return str(error)
    except RunStoreError:
        # The name is not at fault if the output folder does not answer; the sampler looks again when it runs.
        return ""
    return ""


def converted(workflow: object) -> bytes:
    """The answer of the route, as JSON.

    Raises:
        RequestError: it is not a workflow of WanVideoWrapper that can be converted.
    """
    try:
        conversion = convert(workflow, host_inputs(), name_rule)
    except ConvertError as error:
        raise RequestError(str(error)) from error
    remarks = [
        {"level": remark.level.value, "node": remark.node, "text": plain(remark.text)}
        for remark in conversion.remarks
    ]
    return json.dumps({"workflow": conversion.workflow, "remarks": remarks}).encode()


async def answer(request: web.Request) -> web.Response:
    """The converted workflow, as JSON; 400 with a sentence when it cannot be converted.

    The request brings the workflow as JSON, or a picture or video that holds one.
    """
    body = await body_of(request, "workflow", MAX_MEDIA_BYTES)
    if is_media(body[:HEAD_BYTES]):
        workflow = await worked_out("workflow", lambda: stored_in(body))
    else:
        workflow = await json_in(body, request.charset, "workflow")
    # Nodes list their folders when they are asked for their inputs: not on the loop, either.
    told = await worked_out("workflow", lambda: converted(workflow))
    return web.Response(body=told, content_type="application/json")


def stored_in(media: bytes) -> object:
    """The workflow in a picture or video.

    Raises:
        RequestError: it holds none.
    """
    try:
        return stored_workflow(BytesIO(media))
    except ConvertError as error:
        raise RequestError(str(error)) from error
