"""Whether the GPUs of this machine can share the model in the queued prompt, before its weights load."""

from collections.abc import Mapping
from typing import Any

from ....multitalk.common.errors import ModelFileError
from ....wanvideo.model_folder import HEAD_DIM
from ..model.files import (
    BASE_FOLDERS,
    BASE_LABEL,
    base_size,
    check_base_file,
    check_talk_file,
    find_model_file,
)
from ..model.loaders import Quantization, expected_bytes, talk_bytes
from ..model.talking_model import find_talk
from ..parallel.machine import check_memory, count_for, this_machine
from .preflight import literals, model_nodes

LOADER = "EverTalkModelLoader"


def check_posted_gpus(asked: str) -> int | None:
    """Refuse a number of GPUs that cannot share the model that the running prompt's loader names.

    How many will work together, where that is known before.

    Raises:
        InputError: see check_gpus_of.
    """
    loader = next((node for node in model_nodes() if node["class_type"] == LOADER), None)
    return None if loader is None else check_gpus_of(asked, literals(loader))


def check_gpus_of(asked: str, values: Mapping[str, Any]) -> int | None:
    """Refuse a number of GPUs that cannot share the model that a loader with these widgets loads.

    How many will work together; None where it is not known, as of what other loaders load.

    Raises:
        InputError: more GPUs than there are, a number that does not divide the model's attention heads, or a
            GPU on which its weights have no room.
    """
    base, talk, quantization = (values.get(name) for name in ("base_model", "talk_model", "quantization"))
    if not (isinstance(base, str) and isinstance(talk, str) and isinstance(quantization, str)):
        return None
    try:
        path, talk_path = find_model_file(BASE_LABEL, base, BASE_FOLDERS), find_talk(base, talk)
        heads = base_size(check_base_file(path)).dim // HEAD_DIM
        weights_bytes = expected_bytes(path, Quantization(quantization))
        weights_bytes += talk_bytes(talk_path, check_talk_file(talk_path, None))
    except (ModelFileError, ValueError):
        return None  # the loader refuses them itself
    machine = this_machine()
    size = count_for(asked, heads, machine)
    check_memory(size, weights_bytes, machine)
    return size
