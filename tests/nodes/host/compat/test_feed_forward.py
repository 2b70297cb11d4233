"""Whether a feed-forward lets go of its hidden layer, by what it does with memory."""

import pytest
import torch
from live_memory import LiveMemory
from torch import nn

pytestmark = pytest.mark.host

CHANNELS, HIDDEN, TOKENS = 8, 1024, 4096


class Holding(nn.Sequential):
    """Takes its activation and its last layer in one function, in which the hidden layer has a name."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name for it
        hidden = self[0](input)
        return self[2](self[1](hidden))


def peak_in_hidden_layers(kind: type[nn.Sequential]) -> float:
    """The peak of memory while the last layer writes, in hidden layers of its own size."""
    layers = (nn.Linear(CHANNELS, HIDDEN), nn.GELU(approximate="tanh"), nn.Linear(HIDDEN, HIDDEN))
    feed_forward = kind(*layers).to("meta")
    with torch.inference_mode(), LiveMemory() as memory:
        feed_forward(torch.empty(TOKENS, CHANNELS, device="meta"))
    return memory.peak / (TOKENS * HIDDEN * 4)


def test_it_is_told_by_one_value_what_a_large_one_takes() -> None:
    from comfy.ldm.wan.model import WanAttentionBlock
    from evertalk_pack.nodes.host.compat.feed_forward import holds_hidden

    block = WanAttentionBlock(
        "i2v_cross_attn", 8, 16, 2, operation_settings={"operations": nn, "device": "meta", "dtype": None}
    )
    for kind in (nn.Sequential, Holding, type(block.ffn)):
        held = peak_in_hidden_layers(kind) > 2.5
        assert held == holds_hidden(kind), kind.__name__
    assert holds_hidden(Holding)
    assert not holds_hidden(nn.Sequential)
