"""Joins the audio weights to a Wan MODEL of the host, on a clone, without touching its modules.

Shape letters: B batch, S voices, F video frames, K encoder frames around a frame, L encoder layers, C
channels, T latent frames, H and W latent rows and columns, M masks, P tokens of a frame, N audio tokens.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from comfy.ldm.wan.model import WanModel
from comfy.model_base import WAN21
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP

from ....attention.budget import AttentionBudget, within_budget
from ....attention.protocol import Attention
from ....multitalk.common.errors import InputError
from ....multitalk.model.audio_model import AudioModel, TalkHooks
from ....multitalk.model.checkpoint import TalkMode
from ....multitalk.model.routing import SpeakerRouter
from ....multitalk.windows.loop import WindowVoices
from ....wanvideo.blocks import BlockContext
from ....wanvideo.compiling import compiled, many_graphs
from ....wanvideo.forward import ComputeBlock, WanInputs, block_forward, split_of, wan_forward
from ....wanvideo.protocols import BlockHook, WanBlock, WanTree
from ....wanvideo.ranks import Ranks
from ....wanvideo.step_cache import StepCache, StepCacheSettings
from ..compat.compiled_files import keep_compiled_files
from .attention import host_attention
from .block_patches import Given, host_side, inside_of, rotation_of_host
from .connected import check_call
from .lora_patch import fuse_before_runs
from .rank_checks import check_budget_on_ranks, check_options

KEY = "evertalk"
"""Names the pack's entries in the host's transformer options, attachments and additional models."""

I2V_CHANNELS = 36


@dataclass(frozen=True, slots=True)
class Talk:
    """Audio weights, and the transformer on the same GPU that they belong to."""

    tree: WanTree
    model: AudioModel


@dataclass(frozen=True, slots=True)
class TalkCall:
    """What varies from call to call; travels in `transformer_options["evertalk"]`.

    Attributes:
        branches: what each branch of guidance hears, in the order of the call's conds; the host evaluates
            one of them at a time.
        attention: the attention backend; None is the host's own.
        talks: the audio weights, on each GPU that the host may take.
        step_cache: the window's TeaCache, or None.
        budget: the run's sparse self-attention, or None.
        ranks: the processes that make every evaluation together; None: this one alone.
    """

    branches: tuple[WindowVoices, ...]
    attention: Attention | None
    talks: tuple[Talk, ...]
    step_cache: StepCache | None = None
    budget: AttentionBudget | None = None
    ranks: Ranks | None = None

    def talk_on(self, tree: WanTree) -> AudioModel:
        """The audio weights that lie where these modules do."""
        return next(talk.model for talk in self.talks if talk.tree is tree)


@dataclass(frozen=True, slots=True)
class AudioAttachment:
    """What a patched MODEL tells the sampler about itself.

    Attributes:
        talk_name: file name of the audio weights.
        mode: whose windows they were trained for.
        attention_mode: the attention backend that was asked for.
        talk: the audio weights.
        compile_blocks: run the transformer's blocks as one compiled graph.
        notes: what the loader has to tell the user.
        step_cache: when steps are left out; None computes them all.
        reserve_vram_gb: GPU memory to leave free beside what sampling takes.
        warnings: what of the user's choices has no effect.
        compute: the precision to compute in that was asked for.
        attention_budget: largest error of sparse self-attention in percent; 0 computes it exactly.
    """

    talk_name: str
    mode: TalkMode
    attention_mode: str
    talk: ModelPatcher
    compile_blocks: bool = False
    notes: tuple[str, ...] = ()
    step_cache: StepCacheSettings | None = None
    reserve_vram_gb: float = 0.0
    warnings: tuple[str, ...] = ()
    compute: str = "auto"
    attention_budget: float = 0.0

    @property
    def talk_model(self) -> AudioModel:
        """The audio weights' module."""
        model = self.talk.model
        assert isinstance(model, AudioModel)
        return model


@dataclass(frozen=True, slots=True)
class TalkForward:
    """Stands in for the `forward_orig` of the transformer that runs, for one call.

    Attributes:
        tree: the host's modules.
        call: what varies from call to call.
        compile_blocks: run blocks as one compiled graph, where nothing of the host's runs inside of them.
    """

    tree: WanTree
    call: TalkCall
    compile_blocks: bool = False

    def __call__(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        context: torch.Tensor,
        clip_fea: torch.Tensor | None = None,
        freqs: torch.Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
        **host_options: Any,
    ) -> torch.Tensor:
        """As the host calls it: latents with mask and picture, timestep, text, CLIP picture, rotations."""
        del host_options  # ignored by the host's own forward too, or refused before
        options, call = {} if transformer_options is None else transformer_options, self.call
        assert freqs is not None
        exact = call.attention or host_attention(options)
        inputs = WanInputs(x, t, context, clip_fea, rotation_of_host(freqs))
        hooks = self.hooks(x, options["cond_or_uncond"], exact)
        if call.ranks is not None:
            check_options(options)
            check_budget_on_ranks(0.0 if call.budget is None else call.budget.budget)
        stack = None
        if call.step_cache is not None:
            stack = partial(call.step_cache.run, tuple(options["uuids"]), ranks=call.ranks)
        kernel, evaluating = call.attention, nullcontext()
        if call.budget is not None:
            kernel = within_budget(exact)
            evaluating = call.budget.evaluating(options["cond_or_uncond"][0], exact)
        attention = kernel or exact
        host = host_side(options, Given(self.tree, x, t, freqs), kernel)
        with evaluating:
            if not self.compile_blocks:
                return wan_forward(
                    self.tree, inputs, attention, hooks, host, run_stack=stack, ranks=call.ranks
                )
            with many_graphs():
                return wan_forward(
                    self.tree, inputs, attention, hooks, host, compute_block, stack, call.ranks
                )

    def hooks(self, x_BCTHW: torch.Tensor, branch_of_chunk: list[int], attention: Attention) -> TalkHooks:
        """The audio branch of this call; the host says which cond each part of the batch belongs to."""
        assert len(set(branch_of_chunk)) == 1, "branches are marked as different, so never batched"
        branch, talk = self.call.branches[branch_of_chunk[0]], self.call.talk_on(self.tree)
        audio = branch.audio_SFKLC[None].expand(x_BCTHW.shape[0], *branch.audio_SFKLC.shape)
        tokens_BTNC = talk.audio_tokens(audio.to(x_BCTHW))
        split = split_of(self.tree, x_BCTHW, self.call.ranks)
        route = None
        if branch.token_masks_MP is not None:
            masks_MP = branch.token_masks_MP.to(x_BCTHW)
            route = SpeakerRouter(masks_MP, tokens_BTNC.shape[2], attention, split)
        return TalkHooks(talk, tokens_BTNC, self.tree.num_heads, attention, route, split)


@dataclass(frozen=True, slots=True)
class TalkEntry:
    """The host's wrapper around its transformer: in calls with a TalkCall the pack's forward runs inside.

    The host tells a wrapper which modules run, those of a clone on another GPU for one; what comes before
    and after the blocks, padding and positions, stays its own.

    Attributes:
        compile_blocks: as in TalkForward.
    """

    compile_blocks: bool = False

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
        """As the host calls a wrapper of its transformer.

        Raises:
            InputError: another node gave the transformer a forward of its own, or inputs that it alone takes.
        """
        options = {} if transformer_options is None else transformer_options
        call = options.get(KEY)
        if call is None:
            return executor(x, timestep, context, clip_fea, time_dim_concat, options, **inputs)
        assert isinstance(call, TalkCall)
        tree = executor.class_obj
        check_call(tree, time_dim_concat, inputs)
        tree.forward_orig = TalkForward(tree, call, self.compile_blocks)
        try:
            return executor(x, timestep, context, clip_fea, time_dim_concat, options, **inputs)
        finally:
            del tree.forward_orig


def talks_of(model: ModelPatcher, *clones: ModelPatcher) -> tuple[Talk, ...]:
    """The audio weights of a talking MODEL, and those of its clones on other GPUs."""
    return tuple(
        Talk(one.model.diffusion_model, one.get_additional_models_with_key(KEY)[0].model)
        for one in (model, *clones)
    )


def compiles(model: ModelPatcher, attention: Attention | None) -> bool:
    """Whether a talking MODEL's blocks are compiled: only where nothing of the host's runs inside of them."""
    if not attachment_of(model).compile_blocks:
        return False
    return inside_of(model.model_options["transformer_options"], attention) is None


def compute_block(
    block: WanBlock, hook: BlockHook | None, context: BlockContext, x_BLC: torch.Tensor
) -> torch.Tensor:
    """A block, compiled unless other nodes have a say inside of it."""
    compute = compiled_block() if context.inside is None else block_forward
    return compute(block, hook, context, x_BLC)


@cache
def compiled_block() -> ComputeBlock:
    """The block's arithmetic, compiled: one graph serves all blocks, whose weights are its inputs."""
    keep_compiled_files()
    return compiled(block_forward)


def check_base(model: ModelPatcher) -> None:
    """Refuse a MODEL that is not Wan 2.1 image-to-video.

    Raises:
        InputError: says what the model is instead.
    """
    what = type(model.model).__name__
    tree = getattr(model.model, "diffusion_model", None)
    if isinstance(model.model, WAN21) and type(tree) is WanModel:
        if tree.img_emb is not None and tree.in_dim == I2V_CHANNELS:
            return
        clip = "no CLIP picture input" if tree.img_emb is None else "CLIP picture input"
        what = f"Wan with {tree.in_dim} input channels and {clip}"
    raise InputError(
        f"model: this is {what}. EverTalk's audio weights were trained on Wan 2.1 image-to-video (36 input "
        "channels, CLIP picture input). Load wan2.1_i2v_480p_14B or wan2.1_i2v_720p_14B instead."
    )


def apply_talk(model: ModelPatcher, attachment: AudioAttachment) -> ModelPatcher:
    """A clone of `model` that can speak; the model given, its patches and its LoRA stay as they are."""
    patched = model.clone()
    patched.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, KEY)
    entry = TalkEntry(attachment.compile_blocks)
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, entry)
    patched.set_additional_models(KEY, [attachment.talk])
    patched.set_attachments(KEY, attachment)
    fuse_before_runs(patched)
    return patched


def attachment_of(model: ModelPatcher) -> AudioAttachment:
    """What apply_talk attached.

    Raises:
        InputError: the model has no audio weights.
    """
    attachment = model.get_attachment(KEY)
    if attachment is None:
        raise InputError(
            "model: this MODEL has no audio weights. Load it with the EverTalk model loader, or put EverTalk "
            "Apply between your loader and the sampler."
        )
    assert isinstance(attachment, AudioAttachment)
    return attachment


def with_step_cache(model: ModelPatcher, settings: StepCacheSettings | None) -> ModelPatcher:
    """A clone of a talking MODEL whose steps are left out as the settings say; None computes them all.

    Raises:
        InputError: the model has no audio weights.
    """
    attachment = replace(attachment_of(model), step_cache=settings)
    patched = model.clone()
    patched.set_attachments(KEY, attachment)
    return patched
