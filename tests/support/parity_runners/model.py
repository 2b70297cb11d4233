"""Golden cases of one forward pass and of the audio projector."""

from collections.abc import Mapping
from typing import cast

import torch
from einops import rearrange
from evertalk_pack.attention.sdpa import attend as sdpa
from evertalk_pack.multitalk.model.audio_model import (
    AudioModel,
    AudioProjector,
    SpeakerRotations,
    TalkHook,
    TalkHooks,
    group_by_latent_frame,
)
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.multitalk.model.routing import SpeakerRouter
from evertalk_pack.multitalk.model.speaker_map import key_positions, query_positions, speaker_map
from evertalk_pack.multitalk.speakers.masks import token_masks
from evertalk_pack.wanvideo.blocks import BlockContext, HostSide, RunInContext
from evertalk_pack.wanvideo.forward import WanInputs, embed_time, wan_forward
from evertalk_pack.wanvideo.protocols import WanTree
from evertalk_pack.wanvideo.rope import grid_rotation
from parity_case import Case, Runner
from plain_wan import PlainConfig, PlainWan
from torch import nn


def talk_config(model: Mapping[str, int], dim: int, num_layers: int) -> TalkConfig:
    return TalkConfig(
        dim=dim,
        num_layers=num_layers,
        feature_dim=model["audio_blocks"] * model["audio_channels"],
        intermediate_dim=model["audio_intermediate_dim"],
        context_tokens=model["audio_context_tokens"],
        output_dim=model["audio_output_dim"],
    )


def load_models(case: Case) -> tuple[PlainWan, AudioModel]:
    model = case.config["model"]
    tree = PlainWan(PlainConfig.of(model))
    talk = AudioModel(talk_config(model, model["dim"], model["num_layers"]))
    is_talk = {name: "audio" in name or "norm_x" in name for name in case.weights}
    tree.load_state_dict({name: value for name, value in case.weights.items() if not is_talk.get(name)})
    talk.load_state_dict({name: value for name, value in case.weights.items() if is_talk[name]})
    return tree, talk


class Recorder:
    """Keeps what single layers gave, by golden name."""

    def __init__(self) -> None:
        self.seen: dict[str, torch.Tensor] = {}

    def after(self, name: str, layer: nn.Module) -> None:
        def keep(_layer: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            self.seen[name] = output

        layer.register_forward_hook(keep)


def inputs_of(case: Case, tree: PlainWan) -> WanInputs:
    model, inputs = case.config["model"], case.inputs
    x_BCTHW = torch.cat((inputs["in_x"][None], inputs["in_y"]), dim=1)
    frames, height, width = x_BCTHW.shape[2:]
    context = inputs["in_context"]
    padded = nn.functional.pad(context, (0, 0, 0, model["text_len"] - len(context)))
    return WanInputs(
        x_BCTHW=x_BCTHW,
        timestep_B=inputs["in_t"],
        text_BMC=padded[None],
        clip_BMC=inputs["in_clip_fea"],
        rotation=grid_rotation(
            (frames, height // 2, width // 2), model["dim"] // tree.num_heads, x_BCTHW.device
        ),
    )


def record_layers(tree: PlainWan, talk: AudioModel) -> Recorder:
    recorder = Recorder()
    block = tree.blocks[0]
    recorder.after("out_self_attn_block0", block.get_submodule("self_attn.o"))
    recorder.after("out_cross_attn_block0", block.get_submodule("cross_attn.o"))
    recorder.after("out_audio_cross_attn_block0", talk.get_submodule("blocks.0.audio_cross_attn.proj"))
    recorder.after("out_context_text", tree.text_embedding)
    recorder.after("out_context_img", tree.img_emb)
    recorder.after("out_tokens_in", tree.patch_embedding)
    return recorder


class WatchedHook:
    """A talk hook whose queries and keys are kept."""

    def __init__(self, hook: TalkHook) -> None:
        self.hook = hook
        self.q_BLHD = self.k_BLHD = torch.empty(0)

    def observe_qk(self, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> SpeakerRotations | None:
        self.q_BLHD, self.k_BLHD = q_BLHD, k_BLHD
        return self.hook.observe_qk(q_BLHD, k_BLHD)

    def apply(self, x_BLC: torch.Tensor, routing: SpeakerRotations | None) -> torch.Tensor:
        return self.hook.apply(x_BLC, routing)


def run_model(case: Case) -> Mapping[str, torch.Tensor]:
    """Every intermediate that the golden of one forward holds, of one voice or of several."""
    tree, talk = load_models(case)
    inputs = inputs_of(case, tree)
    audio_SFKLC = case.inputs["in_audio"]
    masks_MP = token_masks(case.inputs["in_ref_target_masks"])
    tokens_BTNC = talk.audio_tokens(audio_SFKLC[None])
    route = SpeakerRouter(masks_MP, tokens_BTNC.shape[2], sdpa) if len(audio_SFKLC) > 1 else None
    hooks = TalkHooks(talk, tokens_BTNC, tree.num_heads, sdpa, route)
    hook = WatchedHook(hooks(0))
    recorder = record_layers(tree, talk)
    outputs: dict[str, torch.Tensor] = {}

    def note_blocks(
        index: int, context: BlockContext, x_BLC: torch.Tensor, run: RunInContext
    ) -> torch.Tensor:
        outputs[f"out_block{index}"] = run(context, x_BLC)
        return outputs[f"out_block{index}"]

    wan = cast(WanTree, tree)
    frames = inputs.x_BCTHW.shape[2]
    outputs["out_pred"] = wan_forward(
        wan, inputs, sdpa, lambda index: hook if index == 0 else hooks(index), HostSide(note_blocks)
    )
    outputs |= layer_outputs(case, dict(recorder.seen))
    time_BC, modulation_BNC = embed_time(wan, inputs.timestep_B, torch.float32)
    map_BML = speaker_map(hook.q_BLHD, hook.k_BLHD[:, : masks_MP.shape[1]], masks_MP, sdpa)
    silent = TalkHooks(talk, talk.audio_tokens(torch.zeros_like(audio_SFKLC[None, :1])), tree.num_heads, sdpa)
    return outputs | {
        "out_e": time_BC,
        "out_e0": modulation_BNC,
        "out_audio_proj": talk.audio_proj(audio_SFKLC),
        "out_audio_embedding": tokens_BTNC,
        "out_human_num": torch.tensor(len(audio_SFKLC)),
        "out_token_ref_target_masks": masks_MP,
        "out_x_ref_attn_map_block0": map_BML[0],
        "out_q_pos_block0": query_positions(map_BML)[0],
        "out_k_pos_block0": key_positions(len(audio_SFKLC), talk.audio_proj.tokens).repeat(frames),
        "out_pred_null_audio": wan_forward(wan, inputs, sdpa, silent),
    }


def layer_outputs(case: Case, seen: dict[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """What single layers gave, in the golden's shapes."""
    grid = seen.pop("out_tokens_in")
    context = seen.pop("out_context_text")
    stored = case.outputs["out_context_img"].shape[-1]
    return seen | {
        "out_tokens_in": rearrange(grid, "b c t h w -> b (t h w) c"),
        "out_context": context,
        "out_context_img": seen["out_context_img"][..., :stored],
        "out_grid_sizes": torch.tensor([grid.shape[2:]]),
    }


def run_projector(case: Case) -> Mapping[str, torch.Tensor]:
    """The grouping by latent frame and the projection, of one voice and of several."""
    projector = AudioProjector(talk_config(case.config["model"], dim=0, num_layers=0))
    projector.load_state_dict(
        {name.removeprefix("audio_proj."): value for name, value in case.weights.items()}
    )
    outputs: dict[str, torch.Tensor] = {}
    for name, audio_SFKLC in case.inputs.items():
        if not name.startswith("in_audio"):
            continue
        voices = name.removeprefix("in_audio")
        first, later = group_by_latent_frame(audio_SFKLC)
        tokens = projector(audio_SFKLC)
        outputs |= {
            f"out_first_frame{voices}": first,
            f"out_latter_frames{voices}": later,
            f"out_proj{voices}": tokens,
            f"out_audio_embedding{voices}": rearrange(tokens, "s t n c -> 1 t (s n) c"),
        }
    return outputs


RUNNERS: dict[str, Runner] = {
    "audio_proj": run_projector,
    "model_dual": run_model,
    "model_single": run_model,
}
