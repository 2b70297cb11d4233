"""The block under a compiler: the same numbers from one graph for all blocks."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import torch
import torch.fx
from compiled_memory import ALLOCATED, LIBRARIES, code_of, peak_bytes, product
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.model.audio_model import AudioModel, TalkHooks
from evertalk_pack.multitalk.model.checkpoint import TalkConfig
from evertalk_pack.multitalk.model.routing import SpeakerRouter
from evertalk_pack.wanvideo import forward
from evertalk_pack.wanvideo.forward import BlockContext, WanInputs, block_forward, cross_attend, wan_forward
from evertalk_pack.wanvideo.memory import ForwardSize, block_width, forward_bytes
from evertalk_pack.wanvideo.rope import grid_rotation
from plain_wan import PlainConfig, PlainWan

DIM, HEADS, LAYERS = 64, 2, 3
GRID = (3, 4, 4)


def models() -> tuple[PlainWan, AudioModel]:
    torch.manual_seed(0)
    tree = PlainWan(PlainConfig(DIM, HEADS, 96, LAYERS, text_dim=24, freq_dim=32, in_dim=36, out_dim=16))
    talk = AudioModel(TalkConfig(DIM, LAYERS, 12, intermediate_dim=8, context_tokens=4, output_dim=8))
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


LONG_GRID = (5, 24, 24)
WIDE = PlainConfig(256, 2, 688, 1, text_dim=24, freq_dim=32, in_dim=36, out_dim=16)
"""A block whose tokens outweigh all else, with Wan's own share of width and hidden layer."""


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()


def wide_context() -> BlockContext:
    rotation = grid_rotation(LONG_GRID, WIDE.dim // WIDE.num_heads, torch.device("cpu"))
    text, clip = noise(1, 6, WIDE.dim), noise(1, 5, WIDE.dim)
    return BlockContext(noise(1, 6, WIDE.dim), text, clip, rotation, WIDE.num_heads, attend)


def wide_code(voices: int) -> str:
    """What torch generates for a block of WIDE."""
    block = PlainWan(WIDE).eval().bfloat16().blocks[0]
    talk = AudioModel(TalkConfig(WIDE.dim, 1, 12, 8, context_tokens=4, output_dim=8)).eval().bfloat16()
    frames, rows, columns = LONG_GRID
    masks_MP = torch.zeros(voices + 1, rows * columns).bfloat16()
    masks_MP[0, :100] = masks_MP[1, 300:] = 1
    route = SpeakerRouter(masks_MP, 4 * voices, attend) if voices > 1 else None
    hook = TalkHooks(talk, noise(1, frames, 4 * voices, 8), WIDE.num_heads, attend, route)(0)
    x_BLC = noise(1, prod(LONG_GRID), WIDE.dim)
    return code_of(block_forward, block, hook, wide_context(), x_BLC, pointwise_cat=True)


@pytest.mark.parametrize("voices", [1, 2])
def test_no_copy_of_the_tokens_is_written_in_float32(voices: int) -> None:
    code, tokens = wide_code(voices), prod(LONG_GRID)
    made = [(one[1], one[3]) for one in ALLOCATED.finditer(code) if product(one[2]) == tokens * WIDE.dim]
    assert made
    assert {dtype for _name, dtype in made} == {"bfloat16"}, made


@pytest.mark.parametrize("voices", [1, 2])
def test_a_compiled_block_holds_what_is_declared(voices: int) -> None:
    tokens = prod(LONG_GRID)
    code = wide_code(voices)
    # At libraries' products: in between, a CPU's code keeps more on the way than a GPU's.
    held = peak_bytes(code, torch.bfloat16, at=LIBRARIES) + 2 * tokens * WIDE.dim  # its input, held outside
    size = ForwardSize(tokens, WIDE.dim, WIDE.ffn_dim, 128, 36, 16, 2, 2, voices, compiled=True)
    assert held == pytest.approx(2 * tokens * block_width(size), rel=0.1)


def test_queries_of_two_attentions_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    layer: Any = PlainWan(WIDE).eval().bfloat16().blocks[0].cross_attn
    x_BLC = noise(1, prod(LONG_GRID), WIDE.dim)

    def tensors_made() -> int:
        code = code_of(cross_attend, layer, x_BLC, wide_context(), pointwise_cat=True)
        return sum(product(made[2]) == x_BLC.numel() for made in ALLOCATED.finditer(code))

    once = tensors_made()
    monkeypatch.setattr(forward, "stored", lambda x: x)  # pyright: ignore[reportUnknownLambdaType]
    assert once == tensors_made() - 2, "each attention had a copy of its own"


@pytest.mark.parametrize(
    ("weight_bytes", "voices", "compiled", "measured_gb"),
    [
        (2, 1, False, 2.90),
        (2, 2, False, 2.92),
        (2, 1, True, 2.37),
        (2, 2, True, 2.49),
        (1, 1, True, 2.54),
        (1, 2, True, 2.50),
    ],
)
def test_the_declarations_are_within_a_tenth_of_what_an_h100_took(
    weight_bytes: int, voices: int, measured_gb: float, *, compiled: bool
) -> None:
    audio = 81 * 5 * 12 * 768
    size = ForwardSize(32760, 5120, 13824, 128, 36, 16, 2, weight_bytes, voices, audio, compiled=compiled)
    assert forward_bytes(size) / 1e9 == pytest.approx(measured_gb, rel=0.1)
