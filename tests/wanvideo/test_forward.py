from dataclasses import replace
from typing import cast

import pytest
import torch
from evertalk_pack.attention.protocol import Attention
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.wanvideo.blocks import BlockContext, HostSide, RunInContext
from evertalk_pack.wanvideo.forward import (
    WanInputs,
    cross_attend,
    modulated,
    modulation_rows,
    self_attend,
    sinusoid,
    unpatchify,
    wan_forward,
)
from evertalk_pack.wanvideo.protocols import WanSelfAttention, WanTree
from evertalk_pack.wanvideo.rope import grid_rotation
from plain_wan import PlainConfig, PlainWan

CONFIG = PlainConfig(
    dim=64, num_heads=2, ffn_dim=64, num_layers=2, text_dim=24, freq_dim=32, in_dim=36, out_dim=16
)
GRID = (2, 2, 3)


@pytest.fixture(scope="module")
def tree() -> WanTree:
    torch.manual_seed(0)
    plain = PlainWan(CONFIG).eval().requires_grad_(requires_grad=False)
    for parameter in plain.parameters():
        parameter.normal_(std=0.1)
    return cast(WanTree, plain)


@pytest.fixture
def inputs() -> WanInputs:
    generator = torch.Generator().manual_seed(1)
    return WanInputs(
        x_BCTHW=torch.randn(1, 36, 2, 4, 6, generator=generator),
        timestep_B=torch.tensor([700.0]),
        text_BMC=torch.randn(1, 5, 24, generator=generator),
        clip_BMC=torch.randn(1, 7, 1280, generator=generator),
        rotation=grid_rotation(GRID, CONFIG.dim // CONFIG.num_heads, torch.device("cpu")),
    )


class AddRolled:
    """A hook that adds the rolled channels times what it routing: the block's number plus one."""

    def __init__(self, block_index: int) -> None:
        self.block_index = block_index

    def observe_qk(self, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> float:
        assert q_BLHD.shape == k_BLHD.shape == (1, 12, 2, 32)
        return self.block_index + 1.0

    def apply(self, x_BLC: torch.Tensor, routing: float) -> torch.Tensor:
        assert routing == self.block_index + 1
        return x_BLC + routing * x_BLC.roll(1, dims=-1)


def test_sinusoid_holds_cosines_then_sines_made_in_float64() -> None:
    given = sinusoid(torch.tensor([999.5]), 256)
    exponents = torch.arange(128, dtype=torch.float64) / 128
    angles = 999.5 * 10000.0**-exponents
    expected = torch.cat((angles.cos(), angles.sin()))[None].float()
    assert given.dtype == torch.float32
    assert torch.equal(given, expected)
    in_float32 = (999.5 * 10000.0 ** -exponents.float()).cos()
    assert not torch.equal(in_float32, expected[0, :128]), "float32 would be seen"


def test_modulation_scales_and_shifts() -> None:
    x, shift, scale = torch.full((1, 2, 3), 2.0), torch.full((1, 1, 3), 5.0), torch.full((1, 1, 3), 0.5)
    assert torch.equal(modulated(x, shift, scale), torch.full((1, 2, 3), 8.0))


def test_tokens_go_back_to_their_places() -> None:
    latents = torch.arange(16 * 2 * 4 * 6, dtype=torch.float32).reshape(1, 16, 2, 4, 6)
    patches = latents.reshape(1, 16, 2, 2, 2, 3, 2).permute(0, 2, 3, 5, 4, 6, 1)
    assert torch.equal(unpatchify(patches.reshape(1, 12, 64), GRID), latents)


def test_every_input_has_its_say(tree: WanTree, inputs: WanInputs) -> None:
    plain = wan_forward(tree, inputs, attend)
    assert plain.shape == (1, 16, 2, 4, 6)
    changed = (
        replace(inputs, x_BCTHW=inputs.x_BCTHW + 1),
        replace(inputs, timestep_B=inputs.timestep_B - 1),
        replace(inputs, text_BMC=inputs.text_BMC * 2),
        replace(inputs, clip_BMC=None),
    )
    assert all((wan_forward(tree, one, attend) - plain).abs().max() > 1e-5 for one in changed)


def test_a_batch_is_computed_as_its_rows_alone(tree: WanTree, inputs: WanInputs) -> None:
    assert inputs.clip_BMC is not None
    other = replace(inputs, x_BCTHW=-inputs.x_BCTHW, timestep_B=torch.tensor([20.0]))
    both = replace(
        inputs,
        x_BCTHW=torch.cat((inputs.x_BCTHW, other.x_BCTHW)),
        timestep_B=torch.tensor([700.0, 20.0]),
        text_BMC=inputs.text_BMC.repeat(2, 1, 1),
        clip_BMC=inputs.clip_BMC.repeat(2, 1, 1),
    )
    alone = torch.cat([wan_forward(tree, one, attend) for one in (inputs, other)])
    assert torch.allclose(wan_forward(tree, both, attend), alone, atol=1e-5)


def test_the_hook_sees_every_block_and_changes_the_result(tree: WanTree, inputs: WanInputs) -> None:
    asked: list[int] = []

    def hook_of(block_index: int) -> AddRolled:
        asked.append(block_index)
        return AddRolled(block_index)

    hooked = wan_forward(tree, inputs, attend, hook_of)
    assert asked == [0, 1]
    assert (hooked - wan_forward(tree, inputs, attend)).abs().max() > 1e-4


def test_blocks_may_be_wrapped_and_left_out(tree: WanTree, inputs: WanInputs) -> None:
    plain = wan_forward(tree, inputs, attend)

    def untouched(_index: int, context: BlockContext, x_BLC: torch.Tensor, run: RunInContext) -> torch.Tensor:
        return run(context, x_BLC)

    def without_the_first(
        index: int, context: BlockContext, x_BLC: torch.Tensor, run: RunInContext
    ) -> torch.Tensor:
        return x_BLC if index == 0 else run(context, x_BLC)

    def without_text(
        _index: int, context: BlockContext, x_BLC: torch.Tensor, run: RunInContext
    ) -> torch.Tensor:
        return run(replace(context, text_BMC=torch.zeros_like(context.text_BMC)), x_BLC)

    assert torch.equal(wan_forward(tree, inputs, attend, host=HostSide(untouched)), plain)
    for change in (without_the_first, without_text):
        assert not torch.allclose(wan_forward(tree, inputs, attend, host=HostSide(change)), plain)


def test_the_given_attention_does_all_attention(tree: WanTree, inputs: WanInputs) -> None:
    calls: list[tuple[int, int]] = []

    def counting(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        calls.append((q_BQHD.shape[1], k_BKHD.shape[1]))
        return attend(q_BQHD, k_BKHD, v_BKHD)

    wan_forward(tree, inputs, counting)
    assert calls == [(12, 12), (12, 5), (12, 7)] * 2, "self, text and picture in each block"


class Inside:
    """A host's say inside of blocks: its own attention, and twice of what passes it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def attention(self, layer: WanSelfAttention, *, precise: bool = False) -> Attention:
        self.seen.append((type(layer).__name__, precise))
        return attend

    def attended(self, x_BLC: torch.Tensor, q_BLHD: torch.Tensor, k_BLHD: torch.Tensor) -> torch.Tensor:
        assert x_BLC.shape == q_BLHD.flatten(2).shape == k_BLHD.flatten(2).shape
        return 2 * x_BLC

    def crossed(self, x_BLC: torch.Tensor) -> torch.Tensor:
        return 2 * x_BLC


def test_a_host_has_its_say_inside_of_blocks(tree: WanTree, inputs: WanInputs) -> None:
    def never(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        raise AssertionError(f"{q_BQHD.shape} {k_BKHD.shape} {v_BKHD.shape}")

    inside, block = Inside(), tree.blocks[0]
    given: list[torch.Tensor] = []

    def noted(index: int, context: BlockContext, x_BLC: torch.Tensor, run: RunInContext) -> torch.Tensor:
        given.append(x_BLC)
        after = run(context, x_BLC)
        if index == 0:
            shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = modulation_rows(
                block.modulation, context.modulation_BNC
            )
            plain = replace(context, attention=attend, inside=None)
            normed = modulated(block.norm1(x_BLC), shift, scale)
            layer, attended = block.self_attn, []

            def kept(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
                attended.append(attend(q_BQHD, k_BKHD, v_BKHD))
                return attended[0]

            self_attend(layer, None, normed, replace(plain, attention=kept))
            x_BLC = x_BLC + gate * layer.o(2 * attended[0].flatten(2))
            x_BLC = 2 * (x_BLC + cross_attend(block.cross_attn, block.norm3(x_BLC), plain))
            expected = x_BLC + ffn_gate * block.ffn(modulated(block.norm2(x_BLC), ffn_shift, ffn_scale))
            assert torch.allclose(after, expected, atol=1e-4, rtol=1e-4)
        return after

    wan_forward(tree, inputs, never, host=HostSide(noted, inside))
    kinds = [type(block.self_attn).__name__, *[type(block.cross_attn).__name__] * 2]
    assert inside.seen == list(zip(kinds, (False, False, True), strict=True)) * 2, "the picture's precisely"


def test_every_block_gets_its_tokens_side_by_side_in_memory(tree: WanTree, inputs: WanInputs) -> None:
    # The patch convolution puts channels first; a sum keeps the layout of its first part, block after block.
    given: list[bool] = []

    def noted(_index: int, context: BlockContext, x_BLC: torch.Tensor, run: RunInContext) -> torch.Tensor:
        given.append(x_BLC.is_contiguous())
        return run(context, x_BLC)

    wan_forward(tree, inputs, attend, host=HostSide(noted))
    assert given == [True, True]
