"""POST /evertalk/convert: a workflow of WanVideoWrapper -> one of EverTalk, and what was lost."""

import asyncio
from io import BytesIO
from typing import Any

from aiohttp import web

from ...convert.conversion import convert
from ...convert.errors import ConvertError
from ...convert.stored import HEAD_BYTES, is_media, stored_workflow
from ...multitalk.errors import InputError
from .routes import RequestError, json_of
from .video_file import check_prefix

ROUTE = "/evertalk/convert"


def host_inputs() -> dict[str, Any]:
    """The inputs and outputs of every node that the host knows, as /object_info describes them.

    A node that cannot describe itself, for instance because its files are gone, is left out: the server
    answers /object_info in the same way.
    """
    from nodes import NODE_CLASS_MAPPINGS  # noqa: PLC0415, TID251  # the host's; it stands only in a server

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
    return ""


def converted(workflow: object) -> dict[str, Any]:
    """The answer of the route.

    Raises:
        ConvertError: it is no workflow of WanVideoWrapper that can be converted.
    """
    conversion = convert(workflow, host_inputs(), name_rule)
    remarks = [
        {"level": remark.level.value, "node": remark.node, "text": remark.text}
        for remark in conversion.remarks
    ]
    return {"workflow": conversion.workflow, "remarks": remarks}


async def answer(request: web.Request) -> web.Response:
    """The converted workflow, as JSON; 400 with a sentence when it cannot be converted.

    The request brings the workflow as JSON, or a picture or video that holds one.
    """
    body = await request.read()
    try:
        if is_media(body[:HEAD_BYTES]):
            workflow = await asyncio.to_thread(stored_workflow, BytesIO(body))
        else:
            workflow = await json_of(request, "workflow")
        return web.json_response(converted(workflow))
    except ConvertError as error:
        raise RequestError(str(error)) from error
