"""Weights from RAM to a GPU with room to spare, several at once.

The host brings one layer after the other, by copies from pageable memory that keep one core busy and the bus
at a tenth of its speed: five seconds for 16 GB. Here several threads fill pinned buffers, from which the GPU
takes what is ready. The host then finds the weights where it would put them.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

from ....attention.backend import first_line
from ..compat.patchers import is_dynamic

LOG = logging.getLogger("evertalk")
WORKERS = 4
CHUNK_BYTES = 16 * 2**20
"""A worker has two buffers of this size: one is filled while the GPU takes the other."""

Pair = tuple[nn.Parameter, torch.Tensor]
"""A weight, and the place on the GPU that it will have."""


def upload_ahead(models: list[ModelPatcher], needed: int) -> None:
    """Bring the weights that the host is about to load to their GPU, if it has twice the room for them.

    Weights that are patched when they load stay where they are, so that the host finds them to keep. The host
    reckons what a model takes before it looks where it lies: hence twice the room.

    Args:
        models: a talking MODEL and what belongs to it.
        needed: bytes to leave free beside the weights.
    """
    device = torch.device(models[0].load_device)
    if device.type != "cuda" or any(is_dynamic(one) for one in models):
        return
    # A model that is loaded, if only in part, is left to the host: it has pinned what it moved to RAM, and to
    # search it takes milliseconds of every window.
    unloaded = [one for one in models if one.load_device == device and not one.loaded_size()]
    weights = [weight for one in unloaded for weight in movable(one)]
    room: Any = comfy.model_management.get_free_memory(device)
    total = sum(weight.nbytes for weight in weights)
    if total and 2 * total + needed < room:
        # What cannot be brought ahead (no pinned memory in a container, no room after all), the host brings.
        try:
            upload(weights, device)
        except RuntimeError as error:
            LOG.info("Weights are not brought to the GPU ahead: %s", first_line(error))


def movable(model: ModelPatcher) -> Iterator[nn.Parameter]:
    """A model's plain weights in RAM that nothing patches."""
    for name, weight in model.model.named_parameters():
        is_plain = type(weight) is nn.Parameter and type(weight.data) is torch.Tensor
        if is_plain and weight.device.type == "cpu" and weight.is_contiguous() and name not in model.patches:
            yield weight


def upload(weights: list[nn.Parameter], device: torch.device) -> None:
    """Copy weights to a CUDA device, in place of what their parameters hold."""
    left: SimpleQueue[Pair] = SimpleQueue()
    for weight in weights:
        # Allocated here, on the stream that will use and free them.
        left.put((weight, torch.empty_like(weight.data, device=device)))
    ready: Any = torch.cuda.current_stream(device).record_event()
    with ThreadPoolExecutor(WORKERS) as pool:
        for one in [pool.submit(work, left, device, ready) for _ in range(WORKERS)]:
            one.result()


def taken_from(left: SimpleQueue[Pair]) -> Pair | None:
    """The next weight and its place, or None when all are taken."""
    try:
        return left.get_nowait()
    except Empty:
        return None


def work(left: SimpleQueue[Pair], device: torch.device, ready: Any) -> None:
    """A worker: takes weight after weight until none is left."""
    stream = torch.cuda.Stream(device)
    stream.wait_event(ready)
    buffers = [torch.empty(CHUNK_BYTES, dtype=torch.uint8, pin_memory=True) for _ in range(2)]
    fetched = [stream.record_event() for _ in buffers]
    turn = 0
    with torch.cuda.stream(stream), torch.inference_mode():
        while (one := taken_from(left)) is not None:
            weight, target = one
            source, place = weight.data.reshape(-1).view(torch.uint8), target.reshape(-1).view(torch.uint8)
            for start in range(0, len(source), CHUNK_BYTES):
                part = source[start : start + CHUNK_BYTES]
                fetched[turn].synchronize()
                buffer = buffers[turn][: len(part)]
                buffer.copy_(part)
                place[start : start + len(part)].copy_(buffer, non_blocking=True)
                fetched[turn] = stream.record_event()
                turn = 1 - turn
            weight.data = target
        stream.synchronize()
