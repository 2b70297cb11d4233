"""Test-only node pack: faults of a GPU and of disks, raised in a real server where the pack would meet them.

POST /fault with a JSON object arms one, see Fault; an empty object disarms. Nothing is harmed: the calls
raise what a real fault makes PyTorch or the system raise, or give NaN. Two kinds are real on a GPU: `full`
takes all of its memory for the time of a call, `assert` has PyTorch refuse an index, after which the GPU does
nothing more for this process. On a CPU `full` raises as `oom` does. GET /fault tells the GPU's memory.
"""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import torch
from aiohttp import web
from server import PromptServer

from .full_gpu import FullGpu

NODE_CLASS_MAPPINGS: dict[str, Any] = {}

ERRORS: dict[str, Callable[[], Exception]] = {
    "oom": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "late oom": lambda: torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be late"),
    "cublas": lambda: RuntimeError(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    ),
    "engine": lambda: RuntimeError("GET was unable to find an engine to execute this computation"),
    "poisoned": lambda: torch.AcceleratorError(
        "CUDA error: an illegal memory access was encountered\nCompile with `TORCH_USE_CUDA_DSA`"
    ),
    "gone": lambda: RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"),
    "ram": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    "python ram": MemoryError,
}
"""What a fault raises; "nan" raises nothing."""


@dataclass
class Fault:
    """What happens, where and when.

    Attributes:
        place: of PLACES.
        kind: of ERRORS, or "nan", "full" or "assert".
        after: calls at the place that go well before it.
        times: calls that fail, the first of them and those behind it.
        is_everywhere: once it has come, every place fails.
    """

    place: str = ""
    kind: str = ""
    after: int = 0
    times: int = 1_000_000
    is_everywhere: bool = False
    calls: int = 0

    def comes(self, place: str) -> bool:
        """Whether this call fails."""
        if self.is_everywhere and self.calls > self.after:
            return True
        if place != self.place:
            return False
        self.calls += 1
        return self.after < self.calls <= self.after + self.times


_fault = Fault()
_placed: list[str] = []
_met: list[str] = []
"""What the calls that met the fault raised; empty texts where nothing."""

_gpu = FullGpu()


def spoilt(value: Any) -> Any:
    """The same with a NaN at its end."""
    if not isinstance(value, torch.Tensor):
        return [spoilt(one) for one in value]
    value = value.contiguous().clone()
    value.view(-1)[-1] = torch.nan
    return value


def failing(place: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """A call that fails when the fault comes there."""

    def called(*arguments: Any, **options: Any) -> Any:
        if not _fault.comes(place):
            result = call(*arguments, **options)
            if place == "load":  # within a call that is to fail: what it has made room for is taken too
                _gpu.fill_again()
            return result
        _met.append("")
        try:
            return failed(lambda: call(*arguments, **options))
        except Exception as error:
            _met[-1] = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
            raise

    return called


def failed(call: Callable[[], Any]) -> Any:
    """What the fault makes of a call."""
    if _fault.kind == "nan":
        return spoilt(call())
    if _fault.kind == "assert":
        refuse_an_index()
    if _fault.kind == "full" and torch.cuda.is_available():
        with _gpu:
            return call()
    raise ERRORS[_fault.kind.replace("full", "oom")]()


def refuse_an_index() -> None:
    """Have the GPU meet an index beyond a tensor's end, which PyTorch's own kernel refuses there."""
    beyond = torch.tensor([4], device="cuda")
    torch.zeros(4, device="cuda").gather(0, beyond)
    torch.cuda.synchronize()


def module_of(name: str) -> ModuleType:
    """The pack's own module, under whatever name the host has loaded it."""
    return next(module for full, module in [*sys.modules.items()] if full.endswith(f".{name}"))


PLACES: tuple[tuple[str, Callable[[], Any], str], ...] = (
    ("load", lambda: comfy.model_management, "load_models_gpu"),
    *(
        ("weights", lambda name=name: getattr(comfy.model_patcher, name), "load")
        for name in ("ModelPatcher", "ModelPatcherDynamic")
        if hasattr(comfy.model_patcher, name)
    ),
    ("speech", lambda: module_of("nodes.host.codecs.speech"), "encode_in_chunks"),
    ("encode", lambda: module_of("nodes.host.codecs.vae"), "stream_encode"),
    ("encode", lambda: comfy.sd.VAE, "encode_tiled"),
    ("step", lambda: module_of("nodes.host.sampling.guider"), "calc_cond_batch"),
    ("decode", lambda: module_of("nodes.host.codecs.vae"), "stream_decode"),
    ("decode", lambda: comfy.sd.VAE, "decode_tiled"),
    ("colour", lambda: module_of("nodes.host.sampling.colour_match"), "match_colour"),
    ("write", lambda: module_of("multitalk.media.frame_encoder").FrameEncoder, "encode"),
)
"""Place, what holds the call, its name."""


@PromptServer.instance.routes.post("/fault")
async def arm(request: web.Request) -> web.Response:
    """Arm a fault, or none."""
    global _fault
    if not _placed:  # only now, since a pack that loads later has its modules by the first request
        for place, holder, name in PLACES:
            setattr(holder(), name, failing(place, getattr(holder(), name)))
            _placed.append(name)
        # What an earlier run encoded would spare a call that a case counts.
        module_of("nodes.host.codecs.kept").KEPT.limit_bytes = 0
    seen, _fault = _fault.calls, Fault(**await request.json())
    met = [*_met]
    _met.clear()
    return web.json_response({"calls": seen, "met": met})


@PromptServer.instance.routes.get("/fault")
async def memory(_request: web.Request) -> web.Response:
    """GB that are taken on the GPU, by whomever, without what PyTorch holds in reserve; 0 without a GPU."""
    if not torch.cuda.is_available():
        return web.json_response({"used_gb": 0.0})
    gc.collect()  # an error's traceback holds the tensors of the call that failed
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return web.json_response({"used_gb": (total - free) / 1e9})
