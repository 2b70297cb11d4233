"""A model twice, with the host's forward and the pack's; its audio weights add nothing: both agree."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from evertalk_pack.attention.sdpa import attend
from tiny_host import TinyFiles, load_model

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

SIGMA = 0.7
TIMESTEP = 2.0
"""Not of SIGMA: the host embeds the timestep in float32, where sines of large numbers have lost digits."""

ROUNDING = 1e-5
"""Of the largest value: both forwards add and multiply float32 in orders of their own."""

Change = Callable[["ModelPatcher"], None]


@dataclass(frozen=True)
class Pair:
    """One model: the host's own, and a clone that enters the pack's forward and hears nothing."""

    own: "ModelPatcher"
    talking: "ModelPatcher"

    def with_change(self, change: Change) -> "Pair":
        pair = Pair(self.own.clone(), self.talking.clone())
        change(pair.own)
        change(pair.talking)
        return pair

    def own_forward(self) -> torch.Tensor:
        return forward(self.own, {})

    def talking_forward(self, *, host_attention: bool = True, padded: bool = False) -> torch.Tensor:
        from evertalk_pack.multitalk.windows.loop import WindowVoices
        from evertalk_pack.nodes.host.model.patcher import KEY, TalkCall, talks_of

        (talk,) = talks_of(self.talking)
        silence = WindowVoices(torch.zeros(1, 9, 5, 1, talk.model.config.feature_dim))
        call = TalkCall((silence,), None if host_attention else attend, (talk,))
        return forward(self.talking, {KEY: call, "wrappers": self.talking.wrappers}, padded=padded)


def forward(model: "ModelPatcher", entries: dict[str, Any], *, padded: bool = False) -> torch.Tensor:
    """The transformer's answer to noise, with the options that nodes left on its MODEL."""
    from comfy.model_patcher import create_model_options_clone

    generator = torch.Generator().manual_seed(5)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    columns = 5 if padded else 6
    options = create_model_options_clone(model.model_options)["transformer_options"]
    options |= {"cond_or_uncond": [0], "uuids": [0], "sigmas": torch.tensor([SIGMA]), **entries}
    x, text, clip = noise(1, 36, 3, 4, columns), noise(1, 8, 4096), noise(1, 257, 1280)
    with torch.inference_mode():
        return model.model.diffusion_model(
            x, torch.tensor([TIMESTEP]), text, clip_fea=clip, transformer_options=options
        )


def silent_pair(tiny: TinyFiles) -> Pair:
    """The tiny model, whose audio attention ends in nothing."""
    talking = load_model(tiny)
    with torch.no_grad():
        for block in talking.get_nested_additional_models()[0].model.blocks:
            block.audio_cross_attn.proj.weight.zero_()
            block.audio_cross_attn.proj.bias.zero_()
        for block in talking.model.diffusion_model.blocks:
            block.self_attn.norm_q.weight.mul_(8)  # else every token looks at all others alike
            block.cross_attn.norm_q.weight.mul_(8)
    own = talking.clone()
    own.wrappers.clear()
    return Pair(own, talking)


def assert_same(given: torch.Tensor, expected: torch.Tensor, what: str = "") -> None:
    assert given.shape == expected.shape, what
    assert (given - expected).abs().max() <= ROUNDING * expected.abs().max(), what


def assert_acts_as_on_the_host_s_own(pair: Pair, change: Change) -> None:
    changed = pair.with_change(change)
    expected = changed.own_forward()
    assert (expected - pair.own_forward()).abs().max() > 1e-3, "the host's own Wan follows the node"
    assert_same(changed.talking_forward(), expected)
