"""Makes this GPU pass for one with less memory.

What is above the limit is taken by a tensor that nobody uses, so that CUDA itself tells the host how much is
free and the host offloads as it would on a small card. The bus and the arithmetic stay those of this GPU: on
a real small card the arithmetic is slower, so that transfers hide behind it more easily.
"""

from typing import Any

import comfy.model_management
import psutil
import torch
from comfy.model_patcher import ModelPatcher

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
        self._spare = None
        comfy.model_management.soft_empty_cache()
        self.gib = gib
        if self.is_cuda and gib is not None:
            self._spare = torch.empty(int(self.total - gib * GIB), dtype=torch.uint8, device=self.device)

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
