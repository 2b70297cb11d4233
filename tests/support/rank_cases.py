"""Evaluations of a tiny talking transformer, by one process and by several: what test_ranks.py compares."""

from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, cast

import torch
import torch.fx
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.model.audio_model import AudioModel, TalkHooks
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.multitalk.model.routing import SpeakerRouter
from evertalk_pack.wanvideo.forward import WanInputs, block_forward, split_of, wan_forward
from evertalk_pack.wanvideo.protocols import WanTree
from evertalk_pack.wanvideo.ranks import Ranks, TokenSplit
from evertalk_pack.wanvideo.rope import grid_rotation
from evertalk_pack.wanvideo.step_cache import StepCache, StepCacheSettings
from plain_wan import PlainConfig, PlainWan

DIM, HEADS, LAYERS, AUDIO_TOKENS = 64, 4, 2, 3


@dataclass(frozen=True)
class Case:
    """An evaluation.

    Attributes:
        grid: frames, rows and columns of tokens.
        voices: how many are heard.
        batch: latents at once.
        picture: whether the CLIP picture is attended to.
    """

    grid: tuple[int, int, int]
    voices: int = 1
    batch: int = 1
    picture: bool = True


CASES = {
    "shares that end with frames": Case((4, 2, 3)),
    "shares that end within frames": Case((3, 2, 4), voices=2),
    "padding": Case((3, 3, 5), voices=2),
    "a share of padding alone": Case((1, 1, 5)),
    "more ranks than frames": Case((1, 3, 5), voices=2),
    "three voices": Case((3, 3, 5), voices=3),
    "a batch": Case((3, 3, 5), voices=2, batch=2),
    "without a picture": Case((3, 3, 5), picture=False),
}
TWO_VOICES = CASES["padding"]
COMPILED_BY = 2
"""Ranks that also compile a block, which takes each of them longer than all else."""


def models() -> tuple[WanTree, AudioModel]:
    torch.manual_seed(0)
    tree = PlainWan(PlainConfig(DIM, HEADS, 96, LAYERS, text_dim=24, freq_dim=32, in_dim=36, out_dim=16))
    talk = AudioModel(TalkConfig(DIM, LAYERS, 12, intermediate_dim=8, context_tokens=3, output_dim=8))
    for parameter in (*tree.parameters(), *talk.parameters()):
        parameter.normal_(std=0.15)
    return cast(WanTree, tree.eval()), talk.eval()


def inputs_of(case: Case, seed: int = 1) -> WanInputs:
    generator = torch.Generator().manual_seed(seed)
    frames, rows, columns = case.grid
    return WanInputs(
        x_BCTHW=torch.randn(case.batch, 36, frames, rows * 2, columns * 2, generator=generator),
        timestep_B=torch.tensor([700.0] * case.batch),
        text_BMC=torch.randn(case.batch, 6, 24, generator=generator),
        clip_BMC=torch.randn(case.batch, 5, 1280, generator=generator) if case.picture else None,
        rotation=grid_rotation(case.grid, DIM // HEADS, torch.device("cpu")),
    )


def hooks_of(case: Case, talk: AudioModel, split: TokenSplit | None) -> TalkHooks:
    generator = torch.Generator().manual_seed(2)
    pixel_frames = 4 * case.grid[0] - 3
    audio_BSFKLC = torch.randn(case.batch, case.voices, pixel_frames, 5, 3, 4, generator=generator)
    tokens_BTNC, route = talk.audio_tokens(audio_BSFKLC), None
    if case.voices > 1:
        places = prod(case.grid[1:])
        masks_MP = torch.zeros(case.voices + 1, places)
        masks_MP[torch.arange(places) % (case.voices + 1), torch.arange(places)] = 1
        route = SpeakerRouter(masks_MP, tokens_BTNC.shape[2], attend, split)
    return TalkHooks(talk, tokens_BTNC, HEADS, attend, route, split)


def evaluate(case: Case, ranks: Ranks | None, **options: Any) -> torch.Tensor:
    """The prediction of a case; `options` are wan_forward's."""
    tree, talk = models()
    inputs = options.pop("inputs", inputs_of(case))
    hooks = hooks_of(case, talk, split_of(tree, inputs.x_BCTHW, ranks))
    return wan_forward(tree, inputs, options.pop("attention", attend), hooks, ranks=ranks, **options)


def all_cases(ranks: Ranks) -> dict[str, Any]:
    """Each case by this process alone, and twice by all; then what has a form of its own."""
    found: dict[str, Any] = {
        name: [evaluate(case, None), evaluate(case, ranks), evaluate(case, ranks)]
        for name, case in CASES.items()
    }
    if ranks.size == COMPILED_BY:
        found["compiled"] = compiled(ranks)
    return {
        **found,
        "kernel": seen_by_the_kernel(ranks),
        "step cache": [with_step_cache(None), with_step_cache(ranks)],
        "agreed": [ranks.agreed(ranks.rank == asked, torch.device("cpu")) for asked in (0, 1)],
    }


def seen_by_the_kernel(ranks: Ranks) -> list[list[int]]:
    """The shapes of queries and keys that the attention is given in the first block."""
    shapes: list[list[int]] = []

    def noted(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        assert all(x.is_contiguous() for x in (q_BQHD, k_BKHD, v_BKHD))
        shapes.append([*q_BQHD.shape[1:3], *k_BKHD.shape[1:3]])
        return attend(q_BQHD, k_BKHD, v_BKHD)

    evaluate(Case((4, 2, 3)), ranks, attention=noted)
    return shapes[: len(shapes) // LAYERS]


def compiled(ranks: Ranks) -> list[Any]:
    """One evaluation by graphs that may not break, how many there were, and the same uncompiled."""
    graphs: list[torch.fx.GraphModule] = []

    def keep_graph(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    block = torch.compile(block_forward, dynamic=False, fullgraph=True, backend=keep_graph)
    return [evaluate(TWO_VOICES, ranks, compute=block), len(graphs), evaluate(TWO_VOICES, ranks)]


def with_step_cache(ranks: Ranks | None) -> list[Any]:
    """Four steps with a cache, of which some are left out; each rank but the first guesses wrong alone."""
    misled = ranks is not None and ranks.rank > 0
    threshold = 1e9 if misled else 0.05
    cache = StepCache(StepCacheSettings(threshold, (1.0, 0.0), first_steps=1), steps=4)
    results: list[Any] = []
    for step, timestep in enumerate((700.0, 699.9, 400.0, 399.9)):
        cache.step = step
        inputs = replace(inputs_of(TWO_VOICES, seed=step), timestep_B=torch.tensor([timestep]))
        stack = partial(cache.run, "branch", ranks=ranks)
        results.append(evaluate(TWO_VOICES, ranks, inputs=inputs, run_stack=stack))
    return [*results, cache.computed]
