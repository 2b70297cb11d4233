"""The window loop's backend in ComfyUI: its samplers, its VAE, its memory management.

Shape letters: F video frames, H and W pixels or latent rows and columns, C channels, B batch, T latent
frames.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from comfy.model_sampling import ModelSamplingDiscreteFlow
from comfy.samplers import calculate_sigmas, ksampler, sampler_object
from node_helpers import conditioning_set_values

from ....attention.budget import AttentionBudget
from ....multitalk.model.guidance import GuidanceSettings
from ....multitalk.windows.loop import WindowRequest
from ....multitalk.windows.modes import Encode, PictureClip, WindowCondition, encode_now
from ....multitalk.windows.plan import FIRST_CLIP, Window
from ....multitalk.windows.seeds import WindowSeeds, drawn_ahead, window_seed
from ....multitalk.windows.settings import (
    FIXED_TIMESTEPS,
    INFINITETALK_SCHEDULE,
    NoiseSchedule,
    kept_timesteps,
)
from ....wanvideo.compiling import telling_of_compiling
from ....wanvideo.geometry import SPACE_STRIDE, pixel_frames
from ....wanvideo.memory import forward_bytes
from ....wanvideo.schedule import NUM_TIMESTEPS, fixed_timesteps, infinitetalk_timesteps, sigmas_of
from ....wanvideo.step_cache import window_note
from ..codecs.kept import PICTURES_A_RUN
from ..codecs.vae import Codec
from ..compat.out_of_memory import is_out_of_memory
from ..model.backend import LATER_STEP, NotFiniteError, RunAttention
from ..model.memory import GIB, forward_size, weights_bytes
from ..model.patcher import attachment_of
from ..parallel.choice import gpus_of, shared_vae, shared_window
from ..report.machine_faults import GpuMemoryError
from ..report.progress import RunProgress, show_on_node, warn_on_node
from ..report.record import note_attention
from .attention_budget import tell_budget
from .guider import GuiderSettings, TalkGuider

HostConditioning = list[Any]
SeeFrame = Callable[[torch.Tensor], Any]
"""A frame (H, W, 3) -> the host's CLIP vision output, or None."""

COMPILING_BLOCKS = "compiling the transformer's blocks, once for this size of video"
COMPILING_DECODER = "compiling the VAE's decoder, once for this size of video"

MORE_FREE_FIRST_GB = 1.0
"""How much more GPU memory is left free after it did not suffice for a window; twice as much each time after.

A small card that misses little keeps most weights, and a GPU that another program fills is given up on
after a handful of tries.
"""

ENCODING, SAMPLING, DECODING = "the VAE's encoding", "a sampling step", "the VAE's decoding"
FINISHING = "matching the colours"
"""What is done of a window, as messages name it."""

Prompt = Callable[[Window], HostConditioning]
"""A window -> the CONDITIONING of its prompt."""


@dataclass(frozen=True, slots=True)
class RunModels:
    """What a run samples with.

    Attributes:
        model: the patched MODEL.
        vae: Wan 2.1's VAE.
        prompt: CONDITIONING of a window's prompt.
        negative: CONDITIONING of the negative prompt; None where guidance does not use it.
        see: what CLIP sees of a window's frame.
    """

    model: ModelPatcher
    vae: Any
    prompt: Prompt
    negative: HostConditioning | None
    see: SeeFrame


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How a run samples.

    Attributes:
        sigmas: noise levels, from 1, or less where windows start from given frames, down to 0.
        sampler: name of the host's sampler.
        guidance: text and audio scales.
        seed: of the noise that samplers add themselves.
        window_seeds: windows with a seed of their own.
        renews_noise: the noise that the sampler adds at every step is the window's own.
    """

    sigmas: torch.Tensor
    sampler: str
    guidance: GuidanceSettings
    seed: int
    window_seeds: WindowSeeds = field(default_factory=WindowSeeds)
    renews_noise: bool = False


def sigmas_for(schedule: NoiseSchedule) -> torch.Tensor:
    """Noise levels of a schedule, steps + 1 values from 1 to 0; with denoise below 1 from a lower level.

    As with the host's own samplers, the levels are then the last ones of a list that is longer by
    1 / denoise; a fixed list becomes shorter instead.
    """
    if schedule.steps_are_fixed:
        whole = sigmas_of(fixed_timesteps(FIXED_TIMESTEPS[schedule.scheduler], schedule.shift))
        return whole[-len(kept_timesteps(schedule.scheduler, schedule.denoise)) - 1 :]
    return all_sigmas(schedule, int(schedule.steps / schedule.denoise))[-schedule.steps - 1 :]


def all_sigmas(schedule: NoiseSchedule, steps: int) -> torch.Tensor:
    """Noise levels of a schedule whose steps are not fixed, steps + 1 values from 1 to 0."""
    if schedule.scheduler == INFINITETALK_SCHEDULE:
        return sigmas_of(infinitetalk_timesteps(steps, schedule.shift))
    # The host's schedulers read a model's sampling; this one has Wan's form and the shift asked for.
    sampling = ModelSamplingDiscreteFlow()
    sampling.set_parameters(shift=schedule.shift, multiplier=NUM_TIMESTEPS)
    return calculate_sigmas(sampling, schedule.scheduler, steps)


class ComfyBackend:
    """multitalk.windows.loop.SamplingBackend on the host.

    Args:
        run_models: models and conditioning.
        settings: how to sample.
        backend: the attention backend to begin with; a window whose first step gives no numbers is begun
            again on the next one.
        progress: where steps are shown.
        budget: the run's sparse self-attention, or None.
    """

    def __init__(
        self,
        run_models: RunModels,
        settings: SamplingSettings,
        backend: RunAttention,
        progress: RunProgress,
        budget: AttentionBudget | None = None,
    ) -> None:
        self.run_models = run_models
        self.settings = settings
        self.backend = backend
        note_attention(backend.choice)
        self.progress = progress
        self.budget = budget
        self.attention_state: torch.Tensor | None = None
        """What the windows so far found of sparse attention (AttentionBudget.state)."""
        self.more_free_gb = 0.0
        """GPU memory to leave free beside what is declared; grows where it did not suffice."""
        self.doing = ENCODING
        """What of a window is in the making, for messages."""
        self.pictures = 0
        """How many pictures were encoded, or kept from before."""

    @cached_property
    def codec(self) -> Codec:
        """The VAE of the run, from the first frame on that needs it."""
        model, vae = self.run_models.model, self.run_models.vae
        compiles = attachment_of(model).compile_blocks
        return Codec(vae, compile_decoder=compiles, ranks=shared_vae(model, vae))

    def go_on_with(self, attention_state: torch.Tensor | None) -> None:
        """Go on with what an earlier run found of sparse attention; None: nothing.

        Raises:
            AttentionStateError: it is not such a state.
        """
        if self.budget is not None and attention_state is not None:
            heads: int = self.run_models.model.model.diffusion_model.num_heads
            self.budget.restore(attention_state, heads)
            self.attention_state = attention_state

    def encode(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        """See SamplingBackend."""
        self.doing = ENCODING
        return self.codec.encode(frames_FHWC)

    def recall_picture(self, clip: PictureClip, encode: Encode) -> torch.Tensor:
        """See multitalk.windows.modes.RecallPicture."""
        self.pictures += 1
        if self.pictures > PICTURES_A_RUN:
            return encode_now(clip, encode)
        return self.codec.recall_picture(clip, lambda: encode_now(clip, encode))

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """See SamplingBackend."""
        self.doing = DECODING
        with self.telling_of_compiling(COMPILING_DECODER):
            frames_FHWC = self.codec.decode(latents_BCTHW)
        self.doing = FINISHING
        return frames_FHWC

    def telling_of_compiling(self, note: str) -> AbstractContextManager[None]:
        """While it lasts, the node says `note` when it begins to wait for torch's compiler."""
        if not attachment_of(self.run_models.model).compile_blocks:
            return nullcontext()
        return telling_of_compiling(lambda: show_on_node(note))

    def sample(self, request: WindowRequest) -> torch.Tensor:
        """See SamplingBackend; stops between steps and windows when the user interrupts."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.doing = SAMPLING
        while True:
            needs_more_room = False
            try:
                return self._sample_once(request)
            except NotFiniteError as error:
                self.backend = self.backend.after_failure(error.reason)
                note_attention(self.backend.choice)
                warn_on_node(self.backend.choice.notes[-1])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                # No weights are left on the GPU that could make room.
                if self.more_free_gb >= self.most_free_gb():
                    raise self.too_large(request) from error
                needs_more_room = True
            if needs_more_room:  # out of the clause, whose exception keeps the failed call's tensors alive
                self.make_room(request.window)

    def too_large(self, request: WindowRequest) -> GpuMemoryError:
        """What the person is told whose GPU has less than a window takes."""
        frames, rows, columns = request.noise_BCTHW.shape[2:]
        size = forward_size(
            self.run_models.model,
            request.noise_BCTHW,
            request.voices,
            self.backend.attention,
            0,
            gpus_of(self.run_models.model),
        )
        return GpuMemoryError(
            f"model: the GPU's memory does not suffice for a window of {columns * SPACE_STRIDE}x"
            f"{rows * SPACE_STRIDE} and {pixel_frames(frames)} frames, even with the weights in RAM: it "
            f"takes about {forward_bytes(size) / 1e9:.1f} GB beside them. Choose a smaller size or fewer "
            f"window_frames, or close other programs that use the GPU"
        )

    def most_free_gb(self) -> float:
        """So much more left free, in whole GB, takes all weights off the GPU."""
        return max(MORE_FREE_FIRST_GB, ceil(weights_bytes(self.run_models.model) / GIB))

    def make_room(self, window: Window) -> None:
        """Have the host keep more of the weights in RAM from now on."""
        self.more_free_gb = min(max(MORE_FREE_FIRST_GB, 2 * self.more_free_gb), self.most_free_gb())
        comfy.model_management.soft_empty_cache()
        show_on_node(
            f"Window {window.number}: the GPU's memory did not suffice; begun again with "
            f"{self.more_free_gb:g} GB more left free, by weights in RAM"
        )

    def _sample_once(self, request: WindowRequest) -> torch.Tensor:
        told = attachment_of(self.run_models.model)
        index = request.window.index
        # What a run finds of attention is found in its windows: a clip that is kept tells nothing of it.
        budget = None if index == FIRST_CLIP else self.budget
        settings = GuiderSettings(
            self.settings.guidance,
            self.backend.attention,
            told.step_cache,
            told.reserve_vram_gb + self.more_free_gb,
            budget,
            lambda needed: shared_window(self.run_models.model, self.backend, needed),
        )
        guider = TalkGuider(self.run_models.model, settings, request)
        values = self.conditions(request.condition)
        positive = self.run_models.prompt(request.window)
        guider.set_conds(
            conditioning_set_values(positive, values),
            conditioning_set_values(self.run_models.negative or positive, values),
        )
        if budget is not None:
            budget.begin(index)

        def after_step(step: int, denoised: torch.Tensor, _x: torch.Tensor, _total: int) -> None:
            self.progress.step(index, step + 1, denoised)

        start = request.start_BCTHW
        with self.telling_of_compiling(COMPILING_BLOCKS):
            latents = guider.sample(
                request.noise_BCTHW,
                torch.zeros_like(request.noise_BCTHW) if start is None else start,
                self.sampler_of(request),
                self.settings.sigmas,
                callback=after_step,
                disable_pbar=True,
                seed=window_seed(self.settings.window_seeds.of_run(self.settings.seed, index), index),
            )
        # Waits until the GPU is done, so that nothing of a step is in the decoder's way on a full card.
        if not torch.isfinite(latents).all():
            raise NotFiniteError(LATER_STEP)
        if guider.step_cache is not None:
            show_on_node(window_note(guider.step_cache))
        if budget is not None:
            budget.finish()
            tell_budget(budget)
            self.attention_state = budget.state() if budget.plans else None
        return latents.to(comfy.model_management.intermediate_device())

    def sampler_of(self, request: WindowRequest) -> Any:
        """The host's sampler; where its steps add noise that belongs to the window, it draws that.

        Left alone it would draw on the GPU, which gives other numbers than a CPU.
        """
        if not self.settings.renews_noise:
            return sampler_object(self.settings.sampler)
        # After all steps but the last.
        draw = drawn_ahead(
            request.more_noise, tuple(request.noise_BCTHW.shape), len(self.settings.sigmas) - 2
        )
        device = self.run_models.model.load_device

        def fresh_noise(_sigma: torch.Tensor, _next: torch.Tensor) -> torch.Tensor:
            return draw().to(device)

        return ksampler(self.settings.sampler, {"noise_sampler": fresh_noise})

    def conditions(self, condition: WindowCondition) -> dict[str, Any]:
        """A window's entries of the host's CONDITIONING."""
        values = {"concat_latent_image": condition.picture_BCTHW, "concat_mask": condition.unknown_BCTHW}
        seen = self.run_models.see(condition.clip_frame_HWC)
        return values if seen is None else {**values, "clip_vision_output": seen}
