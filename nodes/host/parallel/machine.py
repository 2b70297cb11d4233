"""What of this machine can work on one evaluation together, and what is said where it cannot."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import comfy.model_management
import torch
import torch.distributed as dist

from ....multitalk.common.errors import InputError
from ....wanvideo.ranks import fitting_sizes
from .group import SAFE

AUTO, ALONE = "auto", "1"
MOST = 8
"""GPUs that the node offers; machines with NVLink between all of them have so many."""
CHOICES = (AUTO, *(str(number) for number in range(1, MOST + 1)))

ON_CPU = "EVERTALK_PARALLEL_PROCESSES"
"""With --cpu, how many processes stand in for GPUs: for tests of the pack, since nothing is gained by it."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices that a server can use.

    Attributes:
        backend: torch's name of what connects them, `nccl` or `gloo`.
        count: GPUs that the server sees, or processes that stand in for them.
        own: the number of the one that the server itself computes on.
        memory_bytes: of each GPU; empty on a CPU.
    """

    backend: str
    count: int
    own: int = 0
    memory_bytes: tuple[int, ...] = ()

    def named(self, size: int) -> str:
        """How so many of them are called."""
        return f"{size} GPUs" if self.memory_bytes else f"{size} processes"

    def others(self, size: int) -> list[int]:
        """The numbers of the GPUs that the workers of a team of `size` get, from rank 1 on."""
        return [number for number in range(self.count) if number != self.own][: size - 1]


def this_machine() -> Machine:
    """What this server has.

    Raises:
        InputError: it computes on something else than NVIDIA GPUs, or torch cannot connect them.
    """
    device = torch.device(comfy.model_management.get_torch_device())
    if device.type == "cpu" and os.environ.get(ON_CPU, "").isdecimal():
        return Machine("gloo", int(os.environ[ON_CPU]))
    if device.type != "cuda":
        raise InputError(
            f"gpus: this ComfyUI computes on {device.type}, and EverTalk Parallel splits windows over NVIDIA "
            "GPUs. Set gpus to 1, or remove the node."
        )
    if not sys.platform.startswith("linux") or not dist.is_available() or not dist.is_nccl_available():
        raise InputError(
            f"gpus: this PyTorch ({torch.__version__} on {sys.platform}) comes without NCCL, through which "
            "GPUs exchange tokens; it has it on Linux. Set gpus to 1, or start ComfyUI on Linux."
        )
    count = torch.cuda.device_count()
    memory_bytes = tuple(torch.cuda.get_device_properties(number).total_memory for number in range(count))
    return Machine("nccl", count, torch.cuda.current_device(), memory_bytes)


def check_count(asked: str, machine: Machine) -> None:
    """Refuse more GPUs than there are.

    Raises:
        InputError: says how many there are.
    """
    if asked != AUTO and int(asked) > machine.count:
        raise InputError(
            f"gpus: {asked} were chosen, and this ComfyUI sees {machine.count}. Choose {machine.count} at "
            "most, or auto; where the machine has more, start ComfyUI without --cuda-device."
        )


def count_for(asked: str, heads: int, machine: Machine) -> int:
    """How many GPUs share a model's attention heads; `auto` takes as many as can.

    Raises:
        InputError: more than there are, or a number that does not divide the heads.
    """
    check_count(asked, machine)
    fitting = fitting_sizes(heads, machine.count)
    if asked == AUTO:
        return fitting[-1]
    if int(asked) not in fitting:
        raise InputError(
            f"gpus: {asked} GPUs cannot share the {heads} attention heads of this model evenly. Choose "
            f"{' or '.join(map(str, fitting))} of this machine's {machine.count}, or auto."
        )
    return int(asked)


def check_memory(size: int, weights_bytes: int, machine: Machine) -> None:
    """Refuse a GPU on which the weights, of which every GPU holds all, have no room.

    Raises:
        InputError: names the GPU, what it has and what the weights take.
    """
    for number in (machine.own, *machine.others(size)):
        if machine.memory_bytes and machine.memory_bytes[number] < weights_bytes:
            raise InputError(
                f"gpus: GPU {number} has {machine.memory_bytes[number] / GIB:.1f} GiB, and each GPU holds "
                f"all {weights_bytes / GIB:.1f} GiB of the weights. Choose a smaller quantization, or start "
                f"ComfyUI with only the larger GPUs in {VISIBLE}."
            )


def environment_of(number: int, size: int, machine: Machine, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the worker on GPU `number`, which then sees no other."""
    # It may be started before the server's own environment has what is safe.
    environment = {**SAFE, **given, "PYTHONUNBUFFERED": "1"}
    if machine.backend == "gloo":
        # Each process would take all cores, and wait for the others in the middle of every product.
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // size)))
        return environment
    visible: Sequence[str] = [part for part in given.get(VISIBLE, "").split(",") if part]
    return {**environment, VISIBLE: visible[number] if number < len(visible) else str(number)}
