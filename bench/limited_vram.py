"""Makes this GPU pass for one with less memory, and times windows on it.

What is above the limit is taken by a tensor that nobody uses, so that CUDA itself tells the host how much is
free and the host offloads as it would on a small card. The bus and the arithmetic stay those of this GPU: on
a real small card the arithmetic is slower, so that transfers hide behind it more easily.
"""

from collections.abc import Callable
from typing import Any

import comfy.model_management
import psutil
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from rows import emit

GIB = 1024**3


class VramLimit:
    """A GPU's memory, made to seem less.

    On a CPU, where the benches are tried, the host is made to take RAM for a card: it is told of the limit,
    and only the weights that it has loaded count as taken there.
    """

    def __init__(self, device: torch.device) -> None:
        host = comfy.model_management
        self.device = device
        self.is_cuda = device.type == "cuda"
        self.gib: float | None = None
        self.spare_bytes = 0
        self._spare: torch.Tensor | None = None
        self._host_total, self._host_free = host.get_total_memory, host.get_free_memory
        if self.is_cuda:
            self.total = torch.cuda.mem_get_info(device)[1]
        else:
            self.total = psutil.virtual_memory().total
            host.vram_state = host.VRAMState.NORMAL_VRAM
            host.is_device_cpu = lambda _device: False  # pyright: ignore[reportUnknownLambdaType]
            host.get_total_memory = self.total_memory  # type: ignore[assignment]
            host.get_free_memory = self.free_memory  # type: ignore[assignment]

    def set(self, gib: float | None) -> None:
        """Limit the GPU to a card of `gib`, CUDA's own share included; None takes the limit away."""
        comfy.model_management.unload_all_models()
        self._spare, self.spare_bytes = None, 0
        comfy.model_management.soft_empty_cache()
        self.gib = gib
        if self.is_cuda and gib is not None:
            self.spare_bytes = int(self.total - gib * GIB)
            self._spare = torch.empty(self.spare_bytes, dtype=torch.uint8, device=self.device)

    def is_limited(self, device: object) -> bool:
        """Whether the question is about this card, and a limit holds."""
        asked = comfy.model_management.get_torch_device() if device is None else device
        return self.gib is not None and getattr(asked, "type", "") == self.device.type

    def total_memory(self, dev: object = None, torch_total_too: bool = False) -> Any:
        """Stands in for the host's get_total_memory."""
        if self.gib is None or not self.is_limited(dev):
            return self._host_total(dev, torch_total_too)
        return (self.gib * GIB, 0) if torch_total_too else self.gib * GIB

    def free_memory(self, dev: object = None, torch_free_too: bool = False) -> Any:
        """Stands in for the host's get_free_memory."""
        if self.gib is None or not self.is_limited(dev):
            return self._host_free(dev, torch_free_too)
        taken = sum(one.model_loaded_memory() for one in comfy.model_management.current_loaded_models)
        free = max(0, self.gib * GIB - taken)
        return (free, 0) if torch_free_too else free


def to_ram(patcher: ModelPatcher) -> ModelPatcher:
    """A patcher whose weights lie in RAM until the host's memory manager brings them to its device."""
    patcher.model.to("cpu")
    patcher.model.device = torch.device("cpu")
    return ModelPatcher(patcher.model, patcher.load_device, torch.device("cpu"))


def note_offload(model: ModelPatcher) -> dict[str, float]:
    """A dict that holds, from the next evaluation on, how many GB of the weights stay on the GPU."""
    patchers = [model, *model.get_nested_additional_models()]
    state = {"weights_gb": round(sum(one.model_size() for one in patchers) / 1e9, 3)}

    def note(executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        state["weights_on_gpu_gb"] = round(sum(one.loaded_size() for one in patchers) / 1e9, 3)
        return executor(*args, **kwargs)

    model.add_wrapper(WrappersMP.DIFFUSION_MODEL, note)
    return state


def measure_limits(
    model: ModelPatcher,
    limits_gib: list[float],
    device: torch.device,
    play: Callable[[], list[float]],
) -> None:
    """Seconds of two windows, peak memory and what stayed on the GPU under each limit; 0 is none."""
    limit, state = VramLimit(device), note_offload(model)
    unlimited_s: float | None = None
    for gib in limits_gib:
        limit.set(gib or None)
        row: dict[str, Any] = {"limit_gib": gib or "none"}
        if limit.is_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        try:
            seconds = play()
        except torch.OutOfMemoryError as error:
            row["out_of_memory"] = str(error).split(". ")[0]
        else:
            row |= {"window_s": [round(one, 3) for one in seconds], **state}
            unlimited_s = unlimited_s if gib else seconds[-1]
            if unlimited_s:
                row["against_unlimited"] = round(seconds[-1] / unlimited_s, 3)
        if limit.is_cuda:
            peak = torch.cuda.max_memory_allocated(device) - limit.spare_bytes
            row["peak_allocated_gb"] = round(peak / 1e9, 2)
        emit({"what": "windows", **row})
    limit.set(None)
