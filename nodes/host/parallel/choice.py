"""How many GPUs a MODEL's windows are split over, and the team that they are sampled with."""

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import CallbacksMP, WrappersMP
from comfy_execution.utils import get_executing_context

from ....multitalk.common.errors import InputError
from ..model.backend import RunAttention
from ..model.memory import weights_bytes
from ..model.patcher import KEY
from ..report.progress import show_on_node
from .machine import ALONE, AUTO, check_memory, count_for, this_machine
from .recipe import PARALLEL_KEY, key_of, recipe_of
from .spare_workers import SPARES
from .team import Team, TeamPlan
from .unloading import hear_unloading
from .vae import SharedVae, why_alone
from .window import SharedWindow

MULTIGPU = "multigpu_clones"
"""The host's entry in model options for the clones of a MODEL on several GPUs."""


@dataclass(frozen=True, slots=True)
class ParallelEntry:
    """The host's wrapper around its transformer: in a shared window the workers are given the same call.

    Attributes:
        gpus: how many work together; stands for them in the run's identity.
    """

    gpus: int

    def __call__(
        self,
        executor: Any,
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        clip_fea: torch.Tensor | None = None,
        time_dim_concat: torch.Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> torch.Tensor:
        """As the host calls a wrapper of its transformer."""
        options = {} if transformer_options is None else transformer_options
        window = options.get(PARALLEL_KEY)
        if window is None:
            return executor(x, timestep, context, clip_fea, time_dim_concat, options, **inputs)
        assert isinstance(window, SharedWindow)
        given = {"x": x, "timestep": timestep, "context": context, "clip_fea": clip_fea}
        return window.evaluate(
            given,
            options[KEY],
            options["cond_or_uncond"][0],
            lambda: executor(x, timestep, context, clip_fea, time_dim_concat, options, **inputs),
        )


def with_gpus(model: ModelPatcher, asked: str) -> tuple[ModelPatcher, str]:
    """A clone of a MODEL whose windows are split over so many GPUs, and what is to be told of it.

    Raises:
        InputError: the machine or the model does not allow it; says what does.
    """
    if asked == ALONE:
        return model, "gpus 1: the MODEL is passed on as it is"
    machine = this_machine()
    heads: int = getattr(getattr(model.model, "diffusion_model", None), "num_heads", 0)
    if not heads:
        raise InputError("model: this is not a Wan transformer. Connect the MODEL of EverTalk Model Loader.")
    size = count_for(asked, heads, machine)
    if size == 1:
        return model, f"gpus {asked}: this ComfyUI sees 1 GPU, so the MODEL is passed on as it is"
    check_memory(size, weights_bytes(model), machine)
    patched = model.clone()
    patched.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, PARALLEL_KEY)
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, PARALLEL_KEY, ParallelEntry(size))
    patched.remove_callbacks_with_key(CallbacksMP.ON_DETACH, PARALLEL_KEY)
    patched.add_callback_with_key(CallbacksMP.ON_DETACH, PARALLEL_KEY, TEAMS.host_freed)
    left = f", of {machine.count}" if asked == AUTO and size < machine.count else ""
    shares = f"{heads} attention heads, {heads // size} on each"
    return patched, f"gpus {asked}: {machine.named(size)}{left}; {shares}"


def told_of(model: ModelPatcher) -> str:
    """How many GPUs sample, for the end of a line that says what will run; nothing where it is one."""
    size = gpus_of(model)
    return "" if size == 1 else f", on {this_machine().named(size)}"


def gpus_of(model: ModelPatcher) -> int:
    """How many GPUs a MODEL's windows are split over."""
    entries: list[Any] = model.wrappers.get(WrappersMP.DIFFUSION_MODEL, {}).get(PARALLEL_KEY, [])
    return entries[0].gpus if entries else 1


def check_parallel(model: ModelPatcher) -> None:
    """Refuse, before weights move, a MODEL that another process cannot make once more.

    Raises:
        InputError: names what is in the way.
    """
    size = gpus_of(model)
    if size == 1:
        return
    if model.model_options.get(MULTIGPU):
        raise InputError(
            "model: ComfyUI's MultiGPU node and EverTalk Parallel both give the other GPUs work. Remove one "
            "of them."
        )
    check_memory(size, weights_bytes(model), this_machine())
    recipe_of(model)


class Teams:
    """The team of this server: there is one at most, since all GPUs are in it."""

    def __init__(self) -> None:
        self._team: Team | None = None
        self._hears_unloading = False

    def expect(self, size: int) -> None:
        """Start workers for a team that the running prompt is going to need, unless there is one already.

        Whether that one holds the MODEL is known when the MODEL is there.
        """
        if self._team is None or not self._team.is_alive:
            SPARES.begin(this_machine(), size)

    def team_for(self, model: ModelPatcher) -> Team:
        """The team that holds a MODEL: the last one, or one that begins to load it now.

        Raises:
            InputError: see check_parallel.
        """
        recipe = recipe_of(model)
        plan = TeamPlan(key_of(model, recipe), recipe, gpus_of(model), this_machine())
        if self._team is not None and not (self._team.is_alive and self._team.plan == plan):
            self.end()
        if not self._hears_unloading:
            hear_unloading(self.unloaded)
            self._hears_unloading = True
        if self._team is None:
            self._team = Team(plan, model)
            weakref.finalize(model.model, self.end_of, self._team)
        self._team.user = get_executing_context()
        return self._team

    def end(self) -> None:
        """Let the workers go."""
        team, self._team = self._team, None
        if team is not None:
            team.end()

    def end_of(self, team: Team) -> None:
        """Let the workers go if they are still this team's."""
        if team is self._team:
            self.end()

    def host_freed(self, _patcher: ModelPatcher, unpatch_all: bool) -> None:
        """The host takes a MODEL off its GPU; during a run it does so to decode, and the workers stay."""
        if unpatch_all:
            self.unloaded()

    def unloaded(self) -> None:
        """Let the workers go unless the node that runs now samples with them."""
        team = self._team
        if team is not None and (team.user is None or team.user != get_executing_context()):
            self.end()


TEAMS = Teams()


def shared_window(model: ModelPatcher, backend: RunAttention, needed: int) -> SharedWindow | None:
    """A window to sample with the MODEL's team, whose workers begin to load; None where one GPU does it.

    Args:
        model: a talking MODEL.
        backend: the attention backend.
        needed: bytes that an evaluation takes beside the weights.
    """
    if gpus_of(model) == 1:
        return None
    return SharedWindow(TEAMS.team_for(model), backend.choice.ran, backend.tokens, needed)


def shared_vae(model: ModelPatcher, vae: Any) -> SharedVae | None:
    """A VAE to code with on the MODEL's team; None where one GPU does it, which is said if it is the VAE's.

    Args:
        model: a talking MODEL.
        vae: the host's.
    """
    size = gpus_of(model)
    if size == 1:
        return None
    why = why_alone(vae, this_machine())
    if why:
        show_on_node(f"gpus: one GPU alone encodes and decodes, since {why}")
        return None
    return SharedVae(vae, lambda: TEAMS.team_for(model), size)
