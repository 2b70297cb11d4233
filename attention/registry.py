"""Which backend runs: the names on offer, their probes and the fallbacks between them.

    sageattn_3_fp4 -> sageattn_3 -> sageattn -> sdpa
    flash_attn_4 -> flash_attn_3 -> flash_attn_2 -> sdpa
    cudnn -> sdpa          kitchen_int8 -> sdpa          comfy -> sdpa (only after it failed in a run)

A backend steps aside, with one warning for each resolution, when the GPU cannot run it, when the tensors are
not of its kind, when its package is missing or broken, or when its self-test fails. None of this raises; only
a name that nobody knows does. One that is right over thousands of keys alone (uses.py) runs in
self-attention, and the fastest exact one elsewhere.
"""

import logging
from collections.abc import Callable

import torch

from . import cudnn, flash2, flash3, flash4, kitchen, sage, sage3, sdpa
from .backend import Backend, first_line
from .choice import AttentionChoice, AttentionSpec
from .errors import UnknownBackendError
from .hardware import Hardware, hardware_of
from .probe import ADVICE, Fitness, fitness
from .protocol import Attention
from .speed import measure_ms, pick_fastest
from .uses import LONG_KEYS, by_length

log = logging.getLogger("evertalk")

AUTO, COMFY = "auto", "comfy"
BACKENDS: tuple[Backend, ...] = (
    sdpa.BACKEND,
    cudnn.BACKEND,
    flash2.BACKEND,
    flash3.BACKEND,
    flash4.BACKEND,
    kitchen.BACKEND,
    sage.BACKEND,
    sage3.BACKEND,
    sage3.FP4_BACKEND,
)
BACKEND_OF = {backend.name: backend for backend in BACKENDS}
DESCRIPTION_OF = {
    AUTO: "The fastest exact backend on this GPU, found by a probe of milliseconds.",
    COMFY: "What ComfyUI itself uses, by its start options and by patches on the model.",
    **{backend.name: backend.description for backend in BACKENDS},
}
NAMES = tuple(DESCRIPTION_OF)


class Resolver:
    """Turns names into backends and remembers its probes: each is made once a process."""

    def __init__(self, hardware_of: Callable[[torch.device], Hardware] = hardware_of) -> None:
        self._hardware_of = hardware_of
        self._fitness: dict[tuple[str, AttentionSpec], Fitness] = {}
        self._fastest: dict[AttentionSpec, str] = {}

    def resolve(
        self,
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        head_dim: int,
        host_attention: Attention | None = None,
        tokens: int = LONG_KEYS,
    ) -> AttentionChoice:
        """Choose what runs for `name` with tensors of `dtype` and `head_dim` on `device`; call it once a run.

        `host_attention` is the host's own attention, which `comfy` stands for. It is taken as it is,
        untested: it may hold patches that expect the real tokens. Without one, `comfy` falls back to `sdpa`.
        `tokens` are those of a window: the keys of self-attention.

        Raises:
            UnknownBackendError: `name` is none of `NAMES`.
        """
        if name not in NAMES:
            raise UnknownBackendError(
                f"attention backend {name!r} is unknown; choose from {', '.join(NAMES)}"
            )
        spec = _spec(device, dtype, head_dim)
        if name == AUTO:
            fastest = BACKEND_OF[self._fastest_exact(spec)]
            return AttentionChoice(name, fastest.name, fastest.attention, fastest.exact)
        if name != COMFY:
            return self._choose(name, name, spec, (), tokens)
        why_not = self._fitness.get((COMFY, spec), Fitness(None)).unavailable_reason
        if host_attention is not None and why_not is None:
            return AttentionChoice(name, COMFY, host_attention, exact=False)
        note = _warn(_COMFY_LABEL, sdpa.BACKEND.name, why_not or f"the host gave none. Instead, {ADVICE}.")
        return self._choose(name, sdpa.BACKEND.name, spec, (note,), tokens)

    def resolve_next(
        self,
        failed: AttentionChoice,
        reason: str,
        device: torch.device,
        dtype: torch.dtype,
        head_dim: int,
        *,
        is_lasting: bool = True,
        tokens: int = LONG_KEYS,
    ) -> AttentionChoice | None:
        """Choose what follows a backend that failed in a run.

        Later runs do not choose it again if the failure `is_lasting`: that of a node's own attention goes
        with the node. `reason` ends a sentence: "the first step gave NaN or infinite values". Returns None
        when PyTorch's own attention failed: then the fault lies elsewhere.
        """
        if failed.ran == sdpa.BACKEND.name:
            return None
        spec = _spec(device, dtype, head_dim)
        why_not = f"{reason}. To be rid of this warning, {ADVICE}."
        if is_lasting:
            self._fitness[failed.ran, spec] = Fitness(why_not)
            self._fastest.pop(spec, None)
        if failed.ran != COMFY:
            return self._choose(failed.asked, failed.ran, spec, failed.notes, tokens)
        note = _warn(_COMFY_LABEL, sdpa.BACKEND.name, why_not)
        return self._choose(failed.asked, sdpa.BACKEND.name, spec, (*failed.notes, note), tokens)

    def why_not(self, name: str, device: torch.device, dtype: torch.dtype, head_dim: int) -> str | None:
        """Why the kernel backend `name` cannot run there, with the remedy, or None if it can."""
        return self._fit(BACKEND_OF[name], _spec(device, dtype, head_dim)).unavailable_reason

    def _choose(
        self, asked: str, first: str, spec: AttentionSpec, notes: tuple[str, ...], tokens: int
    ) -> AttentionChoice:
        backend = BACKEND_OF[first]
        while backend.fallback is not None:
            why_not = self._fit(backend, spec).why_not(tokens)
            if why_not is None:
                break
            notes = (*notes, _warn(backend.label, backend.fallback, why_not))
            backend = BACKEND_OF[backend.fallback]
        few_keys = self._fit(backend, spec).few_keys
        if few_keys is None:
            return AttentionChoice(asked, backend.name, backend.attention, backend.exact, notes)
        return self._in_self_attention(backend, few_keys, asked, spec, notes)

    def _in_self_attention(
        self, backend: Backend, few_keys: str, asked: str, spec: AttentionSpec, notes: tuple[str, ...]
    ) -> AttentionChoice:
        exact = BACKEND_OF[self._fastest_exact(spec)]
        note = (
            f"{backend.label} runs in self-attention, for which it is right; attention to text, picture and "
            f"audio is {exact.name}'s, since with few keys {few_keys}"
        )
        attention = by_length(backend.attention, exact.attention)
        return AttentionChoice(
            asked, backend.name, attention, backend.exact, notes, exact.name, why_elsewhere=note
        )

    def _fit(self, backend: Backend, spec: AttentionSpec) -> Fitness:
        key = (backend.name, spec)
        if key not in self._fitness:
            self._fitness[key] = fitness(backend, spec, self._hardware_of(spec.device))
        return self._fitness[key]

    def _fastest_exact(self, spec: AttentionSpec) -> str:
        if spec not in self._fastest:
            self._fastest[spec] = self._measure(spec)
        return self._fastest[spec]

    def _measure(self, spec: AttentionSpec) -> str:
        usable = [b for b in BACKENDS if b.exact and self._fit(b, spec).unavailable_reason is None]
        if len(usable) == 1 or spec.device.type != "cuda":
            return sdpa.BACKEND.name
        times_ms = [(b.name, time_ms) for b in usable if (time_ms := tried_ms(b, spec)) is not None]
        fastest = pick_fastest(times_ms) if times_ms else sdpa.BACKEND.name
        log.info(
            "attention backend auto is %s (%s)", fastest, ", ".join(f"{n} {t:.2f} ms" for n, t in times_ms)
        )
        return fastest


def tried_ms(backend: Backend, spec: AttentionSpec) -> float | None:
    """Milliseconds of a self-attention there, or None if the backend fails at that size."""
    # What passed its self-test can still refuse the larger tensor, or find no memory for it.
    try:
        return measure_ms(backend.attention, spec)
    except Exception as error:  # noqa: BLE001
        log.info("attention backend %s left out of the probe: %s", backend.name, first_line(error))
        return None


_COMFY_LABEL = "ComfyUI's attention"
_RESOLVER = Resolver()
resolve = _RESOLVER.resolve
resolve_next = _RESOLVER.resolve_next
why_not = _RESOLVER.why_not


def _spec(device: torch.device, dtype: torch.dtype, head_dim: int) -> AttentionSpec:
    if device == torch.device("cuda"):  # an alias of one with a number: both shall share their probes
        device = torch.device("cuda", torch.cuda.current_device())
    return AttentionSpec(device, dtype, head_dim)


def _warn(label: str, fallback: str, why_not: str) -> str:
    note = f"{label} not available, falling back to {fallback} mode: {why_not}"
    # One message, in which what happened has a line of its own, as people search their logs for it.
    log.warning("%s", note.replace(": ", "\n", 1))
    return note
