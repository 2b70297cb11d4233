"""The guider of a window: evaluates the branches that guidance needs and holds the motion frames.

Shape letters: B batch, C channels, T latent frames, H and W latent rows and columns, S voices.
"""

from dataclasses import dataclass
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher, create_model_options_clone
from comfy.samplers import CFGGuider, calc_cond_batch

from ...attention.protocol import Attention
from ...multitalk.generate import WindowRequest
from ...multitalk.guidance import ApgState, Branch, GuidanceSettings, branches_needed, combine
from ...multitalk.modes import Pin
from .backend import NotFiniteError
from .patcher import KEY, TalkCall

SILENT = (Branch.NO_AUDIO, Branch.NONE)
NEGATIVE = (Branch.NO_TEXT, Branch.NONE)


@dataclass(frozen=True, slots=True)
class GuiderSettings:
    """What a run's guiders share.

    Attributes:
        guidance: scales and APG.
        attention: the attention backend; None is the host's own.
    """

    guidance: GuidanceSettings
    attention: Attention | None


class TalkGuider(CFGGuider):
    """Predicts with text and audio guidance while the window's motion frames stay pinned."""

    def __init__(self, model: ModelPatcher, settings: GuiderSettings, request: WindowRequest) -> None:
        super().__init__(model)
        self.settings = settings
        self.request = request
        self.draw = request.more_noise()
        self.apg_state = ApgState()
        self.checked = False

    def predict_noise(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> torch.Tensor:
        """The guided prediction of the clean latents; the host's samplers ask for it at every evaluation."""
        del seed
        pin = self.request.condition.pin
        motion_BCTHW = None if pin is None else self.inner_model.process_latent_in(pin.latents_BCTHW).to(x)
        if pin is not None and motion_BCTHW is not None:
            x = self.pinned(x, motion_BCTHW, pin, timestep)
        denoised = self.guided(x, timestep, model_options or {})
        # The pinned frames' answer is known: the sampler is led to it, and ends on it exactly.
        return denoised if motion_BCTHW is None else with_start(denoised, motion_BCTHW)

    def pinned(
        self, x_BCTHW: torch.Tensor, motion_BCTHW: torch.Tensor, pin: Pin, timestep: torch.Tensor
    ) -> torch.Tensor:
        """X with the motion frames set in: clean, or with fresh noise of the call's level."""
        if pin.noised:
            sigma = timestep.flatten()[0]
            noise = self.draw(tuple(motion_BCTHW.shape)).to(x_BCTHW)
            motion_BCTHW = (1 - sigma) * motion_BCTHW + sigma * noise
        return with_start(x_BCTHW, motion_BCTHW)

    def guided(
        self, x_BCTHW: torch.Tensor, sigma: torch.Tensor, model_options: dict[str, Any]
    ) -> torch.Tensor:
        """The clean latents that all branches needed at this level of noise predict together."""
        guidance = self.settings.guidance
        active = guidance.audio_active(self.progress(sigma, model_options))
        branches = branches_needed(guidance, audio_active=active)
        denoised = self.evaluate(branches, x_BCTHW, sigma, model_options)
        if not self.checked:
            self.check_finite(denoised[branches[0]])
        if len(branches) == 1:
            return denoised[branches[0]]
        # Guidance is defined on the model's own prediction, noise minus data; APG's norms depend on it.
        level = sigma.reshape(-1, 1, 1, 1, 1)
        flows = {branch: (x_BCTHW - value) / level for branch, value in denoised.items()}
        flow, self.apg_state = combine(flows, guidance, self.apg_state)
        return x_BCTHW - flow * level

    def check_finite(self, denoised_BCTHW: torch.Tensor) -> None:
        """Look once a window, since it waits for the GPU, whether the model gives numbers at all.

        Raises:
            NotFiniteError: it does not.
        """
        if not torch.isfinite(denoised_BCTHW).all():
            raise NotFiniteError("model: the first step gave NaN or infinite values")
        self.checked = True

    def progress(self, sigma: torch.Tensor, model_options: dict[str, Any]) -> float:
        """The share of the steps that lies behind this level of noise, 0..1."""
        sigmas = model_options["transformer_options"]["sample_sigmas"]
        behind = int((sigmas[:-1] > sigma.flatten()[0].to(sigmas)).sum())
        return behind / (len(sigmas) - 1)

    def evaluate(
        self,
        branches: tuple[Branch, ...],
        x_BCTHW: torch.Tensor,
        sigma: torch.Tensor,
        model_options: dict[str, Any],
    ) -> dict[Branch, torch.Tensor]:
        """The clean latents that each branch predicts; the host may run branches of one form as a batch."""
        voices = self.request.voices
        denoised: dict[Branch, torch.Tensor] = {}
        for group in branch_groups(branches, several_voices=voices.token_masks_MP is not None):
            silent = group[0] in SILENT
            audio = [audio_of(branch, voices.audio_SFKLC, single=silent) for branch in group]
            masks = None if silent else voices.token_masks_MP
            options = create_model_options_clone(model_options)
            options["transformer_options"][KEY] = TalkCall(torch.stack(audio), masks, self.settings.attention)
            conds = [self.conds["negative" if branch in NEGATIVE else "positive"] for branch in group]
            predictions = calc_cond_batch(self.inner_model, conds, x_BCTHW, sigma, options)
            denoised |= dict(zip(group, predictions, strict=True))
        return denoised


def with_start(x_BCTHW: torch.Tensor, start_BCTHW: torch.Tensor) -> torch.Tensor:
    """X with its first latent frames replaced."""
    return torch.cat((start_BCTHW, x_BCTHW[:, :, start_BCTHW.shape[2] :]), dim=2)


def audio_of(branch: Branch, audio_SFKLC: torch.Tensor, *, single: bool) -> torch.Tensor:
    """What a branch hears: the voices, or the single all-zero track that the weights know as no audio."""
    heard = audio_SFKLC[:1] if single else audio_SFKLC
    return torch.zeros_like(heard) if branch in SILENT else heard


def branch_groups(branches: tuple[Branch, ...], *, several_voices: bool) -> list[tuple[Branch, ...]]:
    """Branches that may share a batch; beside several voices the silent ones, of one track, go apart."""
    if not several_voices:
        return [branches]
    heard = tuple(branch for branch in branches if branch not in SILENT)
    silent = tuple(branch for branch in branches if branch in SILENT)
    return [group for group in (heard, silent) if group]
