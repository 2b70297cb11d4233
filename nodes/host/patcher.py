"""Joins the audio weights to a Wan MODEL of the host, on a clone, without touching its modules.

Shape letters: B batch, S voices, F video frames, K encoder frames around a frame, L encoder layers, C
channels, T latent frames, H and W latent rows and columns, M masks, P tokens of a frame, N audio tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from comfy.ldm.wan.model import WanModel
from comfy.model_base import WAN21
from comfy.model_patcher import ModelPatcher

from ...attention.protocol import Attention
from ...multitalk.errors import InputError
from ...multitalk.speaker_routing import SpeakerRouter
from ...multitalk.talk_checkpoint import TalkMode
from ...multitalk.talk_model import TalkHooks, TalkModel
from ...wanvideo.compiling import compiled, many_graphs
from ...wanvideo.forward import ComputeBlock, WanInputs, block_forward, wan_forward
from ...wanvideo.protocols import WanTree
from ...wanvideo.rope import Rotation
from ...wanvideo.step_cache import StepCache, StepCacheSettings
from .attention import host_attention
from .lora_patch import quicken_before_runs

KEY = "evertalk"
"""Names the pack's entries in the host's transformer options, attachments and additional models."""

FORWARD = "diffusion_model.forward_orig"
I2V_CHANNELS = 36


@dataclass(frozen=True, slots=True)
class BranchCall:
    """What one branch of guidance hears.

    Attributes:
        audio_SFKLC: encoder features of the window for each voice.
        token_masks_MP: with several voices, a mask a voice and the background, over the tokens of a frame.
    """

    audio_SFKLC: torch.Tensor
    token_masks_MP: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class TalkCall:
    """What varies from call to call; travels in `transformer_options["evertalk"]`.

    Attributes:
        branches: in the order of the call's conds; the host evaluates one of them at a time.
        attention: the attention backend; None is the host's own.
        step_cache: the window's TeaCache, or None.
    """

    branches: tuple[BranchCall, ...]
    attention: Attention | None
    step_cache: StepCache | None = None


@dataclass(frozen=True, slots=True)
class TalkAttachment:
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
    """

    talk_name: str
    mode: TalkMode
    attention_mode: str
    talk: ModelPatcher
    compile_blocks: bool = False
    notes: tuple[str, ...] = ()
    step_cache: StepCacheSettings | None = None
    reserve_vram_gb: float = 0.0

    @property
    def talk_model(self) -> TalkModel:
        """The audio weights' module."""
        model = self.talk.model
        assert isinstance(model, TalkModel)
        return model


@dataclass(frozen=True, slots=True)
class TalkForward:
    """Stands in for the host's `forward_orig`: with a TalkCall the pack's forward, else the host's own.

    Attributes:
        tree: the host's modules.
        talk: the audio weights.
        host_forward: what it stands in for.
        compile_blocks: run blocks as one compiled graph, except with the host's own attention.
    """

    tree: WanTree
    talk: TalkModel
    host_forward: Callable[..., torch.Tensor]
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
        options = transformer_options or {}
        call = options.get(KEY)
        if call is None:
            return self.host_forward(
                x, t, context, clip_fea=clip_fea, freqs=freqs, transformer_options=options, **host_options
            )
        assert isinstance(call, TalkCall)
        assert freqs is not None
        attention = call.attention or host_attention(options)
        inputs = WanInputs(x, t, context, clip_fea, rotation_of_host(freqs))
        hooks = self.hooks(call, x, options["cond_or_uncond"], attention)
        stack = None if call.step_cache is None else partial(call.step_cache.run, tuple(options["uuids"]))
        patches = block_patches(options)
        if not compiles(self.compile_blocks, call.attention):
            return wan_forward(self.tree, inputs, attention, hooks, patches, run_stack=stack)
        with many_graphs():
            return wan_forward(self.tree, inputs, attention, hooks, patches, compiled_block(), stack)

    def hooks(
        self, call: TalkCall, x_BCTHW: torch.Tensor, branch_of_chunk: list[int], attention: Attention
    ) -> TalkHooks:
        """The audio branch of this call; the host says which cond each part of the batch belongs to."""
        assert len(set(branch_of_chunk)) == 1, "branches are marked as different, so never batched"
        branch = call.branches[branch_of_chunk[0]]
        audio = branch.audio_SFKLC[None].expand(x_BCTHW.shape[0], *branch.audio_SFKLC.shape)
        tokens_BTNC = self.talk.audio_tokens(audio.to(x_BCTHW))
        route = None
        if branch.token_masks_MP is not None:
            route = SpeakerRouter(branch.token_masks_MP.to(x_BCTHW), tokens_BTNC.shape[2], attention)
        return TalkHooks(self.talk, tokens_BTNC, self.tree.num_heads, attention, route)


def compiles(asked: bool, attention: Attention | None) -> bool:  # a widget's value
    """Whether blocks are compiled: not with the host's attention, another closure in every call."""
    return asked and attention is not None


@cache
def compiled_block() -> ComputeBlock:
    """The block's arithmetic, compiled: one graph serves all blocks, whose weights are its inputs."""
    return compiled(block_forward)


def rotation_of_host(freqs: torch.Tensor) -> Rotation:
    """The host's rotation matrices (1, tokens, 1, pairs, 2, 2) as cosine and sine: their first column."""
    return Rotation(freqs[..., 0].float().contiguous())


def block_patches(
    options: Mapping[str, Any],
) -> Callable[[int, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor] | None:
    """Runs blocks through the replacements that other nodes registered; None when there are none."""
    patches = options.get("patches_replace", {}).get("dit", {})
    if not patches:
        return None

    def run_original(run: Callable[[torch.Tensor], torch.Tensor], given: dict[str, Any]) -> dict[str, Any]:
        return {"img": run(given["img"])}

    def run_block(
        index: int, x_BLC: torch.Tensor, run: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        patch = patches.get(("double_block", index))
        if patch is None:
            return run(x_BLC)
        arguments = {"img": x_BLC, "txt": None, "vec": None, "pe": None, "transformer_options": options}
        return patch(arguments, {"original_block": partial(run_original, run)})["img"]

    return run_block


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


def apply_talk(model: ModelPatcher, attachment: TalkAttachment) -> ModelPatcher:
    """A clone of `model` that can speak; the model given, its patches and its LoRA stay as they are."""
    patched = model.clone()
    host_forward = patched.get_model_object(FORWARD)
    if isinstance(host_forward, TalkForward):
        host_forward = host_forward.host_forward
    forward = TalkForward(
        patched.model.diffusion_model, attachment.talk_model, host_forward, attachment.compile_blocks
    )
    patched.add_object_patch(FORWARD, forward)
    patched.set_additional_models(KEY, [attachment.talk])
    patched.set_attachments(KEY, attachment)
    quicken_before_runs(patched)
    return patched


def attachment_of(model: ModelPatcher) -> TalkAttachment:
    """What apply_talk attached.

    Raises:
        InputError: the model has no audio weights.
    """
    attachment = model.get_attachment(KEY)
    if attachment is None:
        raise InputError(
            "model: this MODEL has no audio weights. Load it with the EverTalk model loader, or put EverTalk "
            "Apply "
            "between your loader and the sampler."
        )
    assert isinstance(attachment, TalkAttachment)
    return attachment
