"""POST /evertalk/convert: a workflow of WanVideoWrapper -> one of EverTalk, and what was lost."""

import json
from typing import Any

from aiohttp import web

from ...attention.plain_text import plain
from ...convert.conversion import convert
from ...convert.errors import ConvertError
from .request_json import json_of
from .routes import RequestError, worked_out

ROUTE = "/evertalk/convert"


def host_inputs() -> dict[str, Any]:
    """The inputs of every node that the host knows, as /object_info describes them.

    A node that cannot describe itself, for instance because its files are gone, is left out: the server
    answers /object_info in the same way.
    """
    from nodes import NODE_CLASS_MAPPINGS  # noqa: PLC0415, TID251  # the host's; it stands only in a server

    described: dict[str, Any] = {}
    classes: dict[str, Any] = NODE_CLASS_MAPPINGS
    for kind, node in classes.items():
        try:
            is_new = hasattr(node, "GET_NODE_INFO_V1")
            inputs = node.GET_NODE_INFO_V1()["input"] if is_new else node.INPUT_TYPES()
        except Exception:  # noqa: BLE001  # any pack's code may run here
            continue
        described[kind] = {"input": inputs}
    return described


def converted(workflow: object) -> bytes:
    """The answer of the route, as JSON.

    Raises:
        RequestError: it is no workflow of WanVideoWrapper that can be converted.
    """
    try:
        conversion = convert(workflow, host_inputs())
    except ConvertError as error:
        raise RequestError(str(error)) from error
    remarks = [
        {"level": remark.level.value, "node": remark.node, "text": plain(remark.text)}
        for remark in conversion.remarks
    ]
    return json.dumps({"workflow": conversion.workflow, "remarks": remarks}).encode()


async def answer(request: web.Request) -> web.Response:
    """The converted workflow, as JSON; 400 with a sentence when it cannot be converted."""
    workflow = await json_of(request, "workflow")
    # Nodes list their folders when they are asked for their inputs: not on the loop, either.
    told = await worked_out("workflow", lambda: converted(workflow))
    return web.Response(body=told, content_type="application/json")
