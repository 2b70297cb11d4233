"""The guider of a window: evaluates the branches that guidance needs and holds the motion frames.

Shape letters: B batch, C channels, T latent frames, H and W latent rows and columns, S voices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid5

import torch
from comfy.conds import CONDConstant
from comfy.model_patcher import ModelPatcher, create_model_options_clone
from comfy.samplers import CFGGuider, calc_cond_batch

from ....attention.budget import AttentionBudget
from ....attention.protocol import Attention
from ....multitalk.model.guidance import ApgState, Branch, GuidanceSettings, branches_needed, combine
from ....multitalk.windows.loop import WindowRequest, WindowVoices
from ....multitalk.windows.modes import Pin
from ....multitalk.windows.seeds import Draw
from ....wanvideo.step_cache import StepCache, StepCacheSettings
from ..model.memory import GIB, declared_memory, forward_size, sparse_bytes
from ..model.patcher import KEY, TalkCall, talks_of
from ..model.upload import upload_ahead
from ..parallel.choice import gpus_of
from ..parallel.recipe import PARALLEL_KEY
from ..parallel.window import SharedWindow
from .finite_check import FiniteCheck, brought_to

SILENT = (Branch.NO_AUDIO, Branch.NONE)
NEGATIVE = (Branch.NO_TEXT, Branch.NONE)

CLONES = "multigpu_clones"
"""The host's entry in model options for the clones of a MODEL on several GPUs, itself among them."""

BRANCH_MARK = "evertalk_branch"
"""Names the entry among a cond's values for the model that keeps branches apart; the model ignores it."""


@dataclass(frozen=True, slots=True)
class GuiderSettings:
    """What a run's guiders share.

    Attributes:
        guidance: scales and APG.
        attention: the attention backend; None is the host's own.
        step_cache: when steps are left out, or None.
        reserve_gb: GPU memory to leave free beside what sampling takes.
        budget: the run's sparse self-attention, or None.
        share: gives the window that several GPUs sample, told what an evaluation takes in bytes; None where
            one does.
    """

    guidance: GuidanceSettings
    attention: Attention | None
    step_cache: StepCacheSettings | None = None
    reserve_gb: float = 0.0
    budget: AttentionBudget | None = None
    share: Callable[[int], SharedWindow | None] = lambda _needed: None


class TalkGuider(CFGGuider):
    """Predicts with text and audio guidance while the window's motion frames stay pinned."""

    def __init__(self, model: ModelPatcher, settings: GuiderSettings, request: WindowRequest) -> None:
        super().__init__(model)
        self.settings = settings
        self.request = request
        self.draw: Draw | None = None
        self.apg_state = ApgState()
        self.finite = FiniteCheck()
        self.motion_BCTHW: torch.Tensor | None = None
        self.branch_voices: dict[Branch, WindowVoices] = {}
        self.step_cache: StepCache | None = None
        self.shared: SharedWindow | None = None

    def sample(self, noise: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As the host's, which loads the model for it and is told here how much memory to keep free."""
        branches = 0 if self.settings.step_cache is None else len(all_branches(self.settings.guidance))
        attention = self.settings.attention
        ranks = gpus_of(self.model_patcher)
        size = forward_size(self.model_patcher, noise, self.request.voices, attention, branches, ranks)
        reserve_gb = self.settings.reserve_gb
        if self.settings.budget is not None:
            reserve_gb += sparse_bytes(size) / GIB
        with declared_memory(self.model_patcher, size, reserve_gb) as needed:
            # Its workers load while this GPU does.
            self.shared = self.settings.share(needed)
            others = self.model_patcher.get_nested_additional_models()
            upload_ahead([self.model_patcher, *others], needed)
            latents = super().sample(noise, *args, **kwargs)
            self.finite.settle()
            if self.shared is not None:
                self.shared.finish()
            return latents

    def predict_noise(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> torch.Tensor:
        """The guided prediction of the clean latents; the host's samplers ask for it at every evaluation."""
        del seed
        pin, motion_BCTHW = self.request.condition.pin, self.motion_like(x)
        if pin is not None and motion_BCTHW is not None:
            x = self.pinned(x, motion_BCTHW, pin, timestep)
        denoised = self.guided(x, timestep, model_options or {})
        # The pinned frames' answer is known: the sampler is led to it, and ends on it exactly.
        return denoised if motion_BCTHW is None else with_start(denoised, motion_BCTHW)

    def motion_like(self, x_BCTHW: torch.Tensor) -> torch.Tensor | None:
        """The window's pinned latents as the model takes them, brought to the device once a window."""
        pin = self.request.condition.pin
        if pin is not None and self.motion_BCTHW is None:
            self.motion_BCTHW = brought_to(self.inner_model.process_latent_in(pin.latents_BCTHW), x_BCTHW)
        return self.motion_BCTHW

    def pinned(
        self, x_BCTHW: torch.Tensor, motion_BCTHW: torch.Tensor, pin: Pin, timestep: torch.Tensor
    ) -> torch.Tensor:
        """X with the motion frames set in: clean, or with fresh noise of the call's level."""
        if pin.noised:
            self.draw = self.draw or self.request.more_noise()
            sigma = timestep.flatten()[0]
            noise = brought_to(self.draw(tuple(motion_BCTHW.shape)), x_BCTHW)
            motion_BCTHW = (1 - sigma) * motion_BCTHW + sigma * noise
        return with_start(x_BCTHW, motion_BCTHW)

    def guided(
        self, x_BCTHW: torch.Tensor, sigma: torch.Tensor, model_options: dict[str, Any]
    ) -> torch.Tensor:
        """The clean latents that all branches needed at this level of noise predict together."""
        guidance = self.settings.guidance
        active = True
        if self.settings.step_cache is not None or not guidance.audio_always_active:
            # Where sampling stands is read from the GPU, which waits for it: only where it matters.
            step, steps = step_at(sigma, model_options["transformer_options"]["sample_sigmas"])
            self.follow(step, steps)
            active = guidance.audio_active(step / steps)
        branches = branches_needed(guidance, audio_active=active)
        denoised = self.evaluate(branches, x_BCTHW, sigma, model_options)
        self.finite.look(denoised[branches[0]])
        if len(branches) == 1:
            return denoised[branches[0]]
        # Guidance is defined on the model's own prediction, noise minus data; APG's norms depend on it.
        level = sigma.reshape(-1, 1, 1, 1, 1)
        flows = {branch: (x_BCTHW - value) / level for branch, value in denoised.items()}
        flow, self.apg_state = combine(flows, guidance, self.apg_state)
        return x_BCTHW - flow * level

    def follow(self, step: int, steps: int) -> None:
        """Tell the step cache, which begins with the window, how far sampling is."""
        if self.settings.step_cache is None:
            return
        if self.step_cache is None:
            self.step_cache = StepCache(self.settings.step_cache, steps)
        self.step_cache.step = step

    def evaluate(
        self,
        branches: tuple[Branch, ...],
        x_BCTHW: torch.Tensor,
        sigma: torch.Tensor,
        model_options: dict[str, Any],
    ) -> dict[Branch, torch.Tensor]:
        """The clean latents that each branch predicts, one evaluation after the other.

        The host would batch them when enough memory is free, and a batch gives other last digits than single
        evaluations do: the same run would depend on what else is loaded. A batch is no faster at real sizes.
        """
        heard = tuple(self.voices_of(branch, x_BCTHW.device) for branch in branches)
        options = create_model_options_clone(model_options)
        clones = tuple(options.get(CLONES, {}).values())
        talks = talks_of(self.model_patcher, *clones)
        ranks = None if self.shared is None else self.shared.ranks()
        options["transformer_options"] |= {PARALLEL_KEY: self.shared} if ranks else {}
        options["transformer_options"][KEY] = TalkCall(
            heard, self.settings.attention, talks, self.step_cache, self.settings.budget, ranks
        )
        conds = [marked(self.conds[text_of(branch)], branch) for branch in branches]
        predictions = calc_cond_batch(self.inner_model, conds, x_BCTHW, sigma, options)
        return dict(zip(branches, predictions, strict=True))

    def voices_of(self, branch: Branch, device: torch.device) -> WindowVoices:
        """What a branch hears: the voices, or the single all-zero track that the weights know as no audio.

        Brought to the device once a window: a copy from RAM waits for all that the GPU has to do.
        """
        if branch not in self.branch_voices:
            voices = self.request.voices
            audio_SFKLC, masks_MP = voices.audio_SFKLC.to(device), voices.token_masks_MP
            if branch in SILENT:
                self.branch_voices[branch] = WindowVoices(torch.zeros_like(audio_SFKLC[:1]))
            else:
                masks_MP = None if masks_MP is None else masks_MP.to(device)
                self.branch_voices[branch] = WindowVoices(audio_SFKLC, masks_MP)
        return self.branch_voices[branch]


def step_at(sigma: torch.Tensor, sigmas: torch.Tensor) -> tuple[int, int]:
    """The step, from 0, that this level of noise belongs to, and the number of steps."""
    return int((sigmas[:-1] > sigma.flatten()[0].to(sigmas)).sum()), len(sigmas) - 1


def all_branches(guidance: GuidanceSettings) -> set[Branch]:
    """Every branch that some step of a window needs."""
    return {branch for active in (False, True) for branch in branches_needed(guidance, audio_active=active)}


def text_of(branch: Branch) -> str:
    """Which of the two prompts a branch is told."""
    return "negative" if branch in NEGATIVE else "positive"


def marked(conds: list[dict[str, Any]], branch: Branch) -> list[dict[str, Any]]:
    """A prompt's conds as a branch's own: never batched with another's, and told apart by caches of steps."""
    return [
        {
            **cond,
            "uuid": uuid5(cond["uuid"], branch.name),
            "model_conds": {**cond["model_conds"], BRANCH_MARK: CONDConstant(branch.name)},
        }
        for cond in conds
    ]


def with_start(x_BCTHW: torch.Tensor, start_BCTHW: torch.Tensor) -> torch.Tensor:
    """X with its first latent frames replaced."""
    return torch.cat((start_BCTHW, x_BCTHW[:, :, start_BCTHW.shape[2] :]), dim=2)
