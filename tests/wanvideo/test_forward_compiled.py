"""The block under a compiler: the same numbers from one graph for all blocks."""

from collections.abc import Callable

import pytest
import torch
import torch.fx
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.speaker_routing import SpeakerRouter
from evertalk_pack.multitalk.talk_checkpoint import TalkConfig
from evertalk_pack.multitalk.talk_model import TalkHooks, TalkModel
from evertalk_pack.wanvideo.forward import WanInputs, block_forward, wan_forward
from evertalk_pack.wanvideo.rope import grid_rotation
from plain_wan import PlainConfig, PlainWan

DIM, HEADS, LAYERS = 64, 2, 3
GRID = (3, 4, 4)


def models() -> tuple[PlainWan, TalkModel]:
    torch.manual_seed(0)
    tree = PlainWan(PlainConfig(DIM, HEADS, 96, LAYERS, text_dim=24, freq_dim=32, in_dim=36, out_dim=16))
    talk = TalkModel(TalkConfig(DIM, LAYERS, 12, intermediate_dim=8, context_tokens=4, output_dim=8))
    return tree.eval(), talk.eval()


def inputs() -> WanInputs:
    frames, rows, columns = GRID
    return WanInputs(
        x_BCTHW=torch.randn(1, 36, frames, rows * 2, columns * 2),
        timestep_B=torch.tensor([700.0]),
        text_BMC=torch.randn(1, 6, 24),
        clip_BMC=torch.randn(1, 5, 1280),
        rotation=grid_rotation(GRID, DIM // HEADS, torch.device("cpu")),
    )


@pytest.mark.parametrize("voices", [1, 2])
def test_one_graph_without_breaks_serves_all_blocks_and_equals_eager(voices: int) -> None:
    tree, talk = models()
    given = inputs()
    with torch.inference_mode():
        tokens_BTNC = talk.audio_tokens(torch.randn(1, voices, 9, 5, 3, 4))
    masks_MP = torch.zeros(3, GRID[1] * GRID[2])
    masks_MP[0, :8] = masks_MP[1, 8:] = 1
    route = SpeakerRouter(masks_MP, tokens_BTNC.shape[2], attend) if voices > 1 else None
    hooks = TalkHooks(talk, tokens_BTNC, HEADS, attend, route)
    graphs: list[torch.fx.GraphModule] = []

    def keep_graph(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(block_forward, dynamic=False, fullgraph=True, backend=keep_graph)
    with torch.inference_mode():
        eager = wan_forward(tree, given, attend, hooks)  # pyright: ignore[reportArgumentType]
        fused = wan_forward(tree, given, attend, hooks, compute=compiled)  # pyright: ignore[reportArgumentType]
    assert len(graphs) == 1
    torch.testing.assert_close(fused, eager, atol=1e-5, rtol=1e-5)
