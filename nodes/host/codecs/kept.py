"""Encodings that outlive a run: a picture, a prompt or speech that comes again is not encoded again.

ComfyUI keeps what nodes gave in the last workflow. What the sampler encodes inside of itself it cannot keep,
nor what an older workflow encoded, nor a schedule's prompts if one of them was changed. Here an encoding is
found again by the content that went in and the encoder that made it: the living model itself, samples of its
weights, its precision and its settings. It goes when its encoder goes: ComfyUI's Free Memory drops both.
"""

import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from operator import attrgetter
from threading import RLock
from typing import Any, TypeVar, cast

import comfy.ldm.modules.attention
import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

from ....multitalk.common.fingerprint import NoFingerprintError, fingerprint
from ..model.weights_identity import weights_identity
from ..report.progress import show_on_node
from ..report.record import note_kept

LOG = logging.getLogger("evertalk")
T = TypeVar("T")

LIMIT_BYTES = 256 * 2**20
"""Of all that is kept: thirty pictures or prompts (8 MB each at 832x480), or minutes of speech."""

PICTURES_A_RUN = 4
"""Pictures of one run that are kept: the windows of a clip each have their own, and would drive all out."""

PICTURE, CLIP_VIEW = "the run's picture", "what CLIP sees"
SPEECH, PROMPT = "a person's speech", "a schedule's prompt"
"""What is encoded, as messages and the run's summary name it."""

ACTING = (
    "patches",
    "hook_patches",
    "forced_hooks",
    "weight_wrapper_patches",
    "injections",
    "wrappers",
    "callbacks",
)
"""Where other nodes put what acts on a model."""

SWITCHES = (
    "fp32_precision",
    "cudnn.enabled",
    "cudnn.benchmark",
    "cudnn.deterministic",
    "cudnn.allow_tf32",
    "cudnn.conv.fp32_precision",
    "cuda.matmul.allow_tf32",
    "cuda.matmul.fp32_precision",
    "cuda.matmul.allow_fp16_accumulation",
    "cuda.matmul.allow_fp16_reduced_precision_reduction",
    "cuda.matmul.allow_bf16_reduced_precision_reduction",
)
"""Of torch.backends, by which the same weights round otherwise. Until 2.8 it has no `fp32_precision`."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """Who encodes.

    Attributes:
        model: the living model; an encoding is found again with this one alone.
        identity: the fingerprint of its weights, precision and settings.
    """

    model: nn.Module
    identity: str


def encoder_of(patcher: object, *settings: Any) -> Encoder | None:
    """The encoder behind a patcher of the host's; None if what it gives is not to be kept.

    That is so where other nodes act on it: what they do cannot be told apart for sure.

    Args:
        patcher: the host's, or what another pack has in its place.
        settings: all else that shapes what it gives.
    """
    if not isinstance(patcher, ModelPatcher) or any(holds(getattr(patcher, name, None)) for name in ACTING):
        return None
    options = {name: value for name, value in patcher.model_options.items() if holds(value)}
    parts: dict[str, Any] = patcher.object_patches
    if options or not all(isinstance(part, torch.dtype) for part in parts.values()):
        return None
    identity = fingerprint(
        weights_identity(patcher), parts, str(patcher.load_device), arithmetic(), list(settings)
    )
    return Encoder(patcher.model, identity)


def holds(value: Any) -> bool:
    """Whether there is anything in a value of the host's, which nests empty dicts."""
    if isinstance(value, dict):
        return any(holds(one) for one in cast("dict[Any, Any]", value).values())
    return bool(value)


def arithmetic() -> tuple[object, ...]:
    """What nodes can change between two runs for all models: switches of torch, the host's attention."""
    attention: object = comfy.ldm.modules.attention.optimized_attention
    name = getattr(attention, "__qualname__", type(attention).__qualname__)
    deterministic = torch.are_deterministic_algorithms_enabled()
    return (deterministic, name, *(switch_of_torch(switch) for switch in SWITCHES))


def switch_of_torch(name: str) -> object:
    """How a switch is set; None where this torch does not have it, or does not tell."""
    try:
        return attrgetter(name)(torch.backends)
    except (AttributeError, RuntimeError):  # torch does not tell what was set by old and new names at once
        return None


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    size_bytes: int


class KeptEncodings:
    """Encodings in memory, the one that was not used for the longest time goes first.

    Args:
        limit_bytes: of all tensors; one encoding takes at most half of it.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[int, str], _Kept] = OrderedDict()
        self._numbers: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()
        self._next = 0
        # A model can go at any time, also while this very thread is in here.
        self._lock = RLock()

    @property
    def held_bytes(self) -> int:
        """Of all tensors that are kept."""
        with self._lock:
            return sum(kept.size_bytes for kept in self._kept.values())

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether an encoding of that size would be kept."""
        return size_bytes <= self.limit_bytes // 2

    def recall(
        self,
        encoder: Encoder | None,
        content: Any,
        make: Callable[[], T],
        what: str,
        *,
        only_if: Callable[[], bool] = lambda: True,
        shared: bool = False,
    ) -> T:
        """What was kept of the same content, or what `make` gives, which is then kept.

        Args:
            encoder: who encodes; None: nothing is looked up or kept.
            content: all that goes in.
            make: encodes it.
            what: its name in messages.
            only_if: asked after `make`: whether that is what it gives the next time too.
            shared: nobody writes into it, so that all can have the same tensors; else each gets a copy.
        """
        if encoder is None:
            return make()
        try:
            key = (self._number_of(encoder.model), fingerprint(encoder.identity, what, content))
        except NoFingerprintError:
            return make()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is not None:
            show_on_node(f"Not encoded again, kept from before: {what}")
            note_kept(what)
            return kept.value if shared else copied(kept.value)
        value = make()
        if only_if():
            self._keep(key, value if shared else copied(value), what)
        return value

    def _keep(self, key: tuple[int, str], value: Any, what: str) -> None:
        tensors = list(tensors_in(value))
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if not self.has_room_for(size) or any(tensor.device.type != "cpu" for tensor in tensors):
            return
        with self._lock:
            self._kept[key] = _Kept(value, size)
            while self.held_bytes > self.limit_bytes:
                self._kept.popitem(last=False)
            held = self.held_bytes
        LOG.info(
            "kept for later runs: %s, %.2f MB (%.2f of %.0f MB)",
            what,
            size / 1e6,
            held / 1e6,
            self.limit_bytes / 1e6,
        )

    def _number_of(self, model: nn.Module) -> int:
        """A number of its own for each model that lives; its encodings go with it."""
        with self._lock:
            number = self._numbers.get(model)
            if number is None:
                number = self._numbers[model] = self._next
                self._next += 1
                weakref.finalize(model, self._forget, number).atexit = False
            return number

    def _forget(self, number: int) -> None:
        with self._lock:
            for key in [key for key in self._kept if key[0] == number]:
                self._kept.pop(key, None)


def copied(value: T) -> T:
    """A value of the host's with tensors of its own."""
    one: Any = value
    if isinstance(one, torch.Tensor):
        return cast("T", one.clone())
    if type(one) is dict:
        return cast("T", {key: copied(entry) for key, entry in cast("dict[Any, Any]", one).items()})
    if type(one) in {list, tuple}:
        return cast("T", type(one)(copied(entry) for entry in one))
    if not hasattr(one, "__dict__"):
        return value
    twin = copy(one)
    vars(twin).update({name: copied(entry) for name, entry in vars(one).items()})
    return twin


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors of a value of the host's."""
    if isinstance(value, torch.Tensor):
        yield value
        return
    entries: Any = (
        value
        if isinstance(value, list | tuple)
        else (value if isinstance(value, dict) else getattr(value, "__dict__", {})).values()
    )
    for entry in entries:
        yield from tensors_in(entry)


KEPT = KeptEncodings()
"""Of this server."""
