"""Whose windows the loader in the queued prompt will make, known before its weights load."""

from collections.abc import Mapping
from typing import Any

from ....multitalk.common.errors import ModelFileError
from ....multitalk.windows.whole_model import check_scheduler
from ..model.files import check_origin
from ..model.talking_model import find_talk, resolved_mode
from .preflight import literals, model_nodes

LOADERS = ("EverTalkModelLoader", "EverTalkApply")


def check_posted_scheduler(scheduler: str) -> None:
    """Refuse a scheduler that does not go with the weights that the sampler's loader names.

    Raises:
        InputError: the scheduler belongs to other weights, or the weights to other schedulers.
    """
    loader = next((node for node in model_nodes() if node["class_type"] in LOADERS), None)
    if loader is None:
        return
    values = literals(loader)
    mode = posted_mode(values)
    if mode is not None:
        check_scheduler(mode, scheduler, str(values.get("base_model", values["talk_model"])))


def posted_mode(values: Mapping[str, Any]) -> str | None:
    """Whose windows a loader with these widgets makes; None where that is not known, or it will refuse."""
    base, talk, asked = (values.get(name) for name in ("base_model", "talk_model", "mode"))
    if not isinstance(talk, str) or not isinstance(asked, str) or not isinstance(base, str | None):
        return None
    try:
        return resolved_mode(asked, check_origin(find_talk(base, talk)))[0]
    except ModelFileError:
        return None
