"""What nodes put on a MODEL acts as it does on the host's own Wan.

The audio weights add nothing here, so that both forwards compute the same: the pack's, which they enter, and
the host's, each with the same node's work on the MODEL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.attention.sdpa import attend
from tiny_host import TinyFiles, load_model

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

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
        from evertalk_pack.nodes.host.patcher import KEY, BranchCall, TalkCall, talks_of

        (talk,) = talks_of(self.talking)
        silence = BranchCall(torch.zeros(1, 9, 5, 1, talk.model.config.feature_dim))
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


@pytest.fixture(scope="module")
def pair(tiny: TinyFiles) -> Pair:
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


def test_without_audio_s_share_both_forwards_are_the_same(pair: Pair) -> None:
    expected = pair.own_forward()
    assert expected.std() > 0.1
    assert_same(pair.talking_forward(), expected)
    assert_same(pair.talking_forward(host_attention=False), expected)


def test_what_does_not_divide_into_patches_is_padded_by_the_host(pair: Pair) -> None:
    padded = pair.talking_forward(padded=True)
    assert padded.shape == (1, 16, 3, 4, 5)
    assert_same(padded, forward(pair.own, {}, padded=True))


def put_override(model: "ModelPatcher") -> None:
    def override(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        assert kwargs["transformer_options"]["sigmas"][0] == pytest.approx(SIGMA)
        return 0.5 * function(*args, **kwargs)

    model.model_options["transformer_options"]["optimized_attention_override"] = override


def test_an_attention_override_acts(pair: Pair) -> None:
    assert_acts_as_on_the_host_s_own(pair, put_override)


def test_rules_by_block_and_noise_level_act_in_an_override(pair: Pair) -> None:
    seen: list[list[Any]] = [[]]

    def put(model: "ModelPatcher") -> None:
        def override(function: Any, q: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            options = kwargs["transformer_options"]
            names = ("block_index", "total_blocks", "block_type", "grid_sizes")
            given = [options.get(name) for name in names]
            quantised = kwargs.get("low_precision_attention", True)
            seen[-1].append([*given, q.shape, args[0].shape, quantised])
            is_dense = options["block_index"] == 1 or options["sigmas"][0] < 0.5
            return function(q, *args, **kwargs) if is_dense else torch.zeros_like(q)

        model.model_options["transformer_options"]["optimized_attention_override"] = override

    changed = pair.with_change(put)
    try:
        expected = changed.own_forward()
    except KeyError:
        pytest.skip("the host's own Wan does not number its blocks")
    seen.append([])
    given = changed.talking_forward()
    assert_same(given, expected)
    assert (expected - pair.own_forward()).abs().max() > 1e-3
    own, ours = ([call for call in calls if call[4][0] == 1] for calls in seen)  # audio: a row a frame
    assert sorted(map(str, own)) == sorted(map(str, ours)), "told the same of the same attentions"


def test_the_host_s_node_for_an_attention_backend_acts(pair: Pair) -> None:
    from comfy.ldm.modules import attention
    from comfy_extras import nodes_model_advanced as nodes
    from evertalk_pack.nodes.host.backend import attention_notes, backend_for
    from evertalk_pack.nodes.host.patcher import attachment_of

    if not hasattr(nodes, "ModelAttentionBackend"):
        pytest.skip("the host has no node for a model's attention")
    (chosen,) = nodes.ModelAttentionBackend().patch(pair.talking, "pytorch attention")
    (own,) = nodes.ModelAttentionBackend().patch(pair.own, "pytorch attention")
    assert chosen.model_options["transformer_options"]["optimized_attention_override"](
        None, *(torch.ones(1, 2, 4) for _ in range(3)), heads=2
    ).shape == (1, 2, 4)
    both = Pair(own, chosen)
    assert_same(both.talking_forward(), both.own_forward())
    backend = backend_for(chosen, "auto")
    assert (backend.choice.asked, backend.choice.ran, backend.attention) == ("auto", "comfy", None)
    name = attention.attention_pytorch.__name__
    notes = attention_notes(chosen, attachment_of(chosen), "comfy")
    assert notes == (
        f"attention_mode sdpa: the attention that a node put on the MODEL runs: {name} (comfy.model_patcher)",
    )


def put_attended(model: "ModelPatcher") -> None:
    def patch(given: dict[str, Any]) -> torch.Tensor:
        return given["x"] + 0.1 * (given["q"] - given["k"]).flatten(2)

    model.set_model_attn1_patch(patch)


def put_crossed(model: "ModelPatcher") -> None:
    def patch(given: dict[str, Any]) -> torch.Tensor:
        return 1.5 * given["x"]

    model.set_model_attn2_patch(patch)


def put_after_block(model: "ModelPatcher") -> None:
    def patch(given: dict[str, Any]) -> dict[str, Any]:
        # As Uni3C does, in place, by the block's number and the embedded timestep.
        given["img"][:, given["img_offset"] :] += given["vec"] * (given["block_index"] + 1)
        given["img"] += given["x"].mean()
        return given

    model.set_model_patch(patch, "double_block")


PATCHES = {"attn1_patch": put_attended, "attn2_patch": put_crossed, "double_block": put_after_block}


@pytest.mark.parametrize("name", PATCHES)
def test_block_patches_act(pair: Pair, name: str) -> None:
    from evertalk_pack.nodes.host.compat.wan_model import honoured_patches

    if name not in honoured_patches():
        changed = pair.with_change(PATCHES[name])
        assert torch.equal(changed.own_forward(), pair.own_forward()), "the host's own Wan ignores it"
        assert torch.equal(changed.talking_forward(), pair.talking_forward())
        pytest.skip(f"the host's own Wan calls no {name}")
    assert_acts_as_on_the_host_s_own(pair, PATCHES[name])


def test_all_patches_act_together_with_a_backend_of_the_pack_s_own(pair: Pair) -> None:
    def put(model: "ModelPatcher") -> None:
        for one in PATCHES.values():
            one(model)

    changed = pair.with_change(put)
    assert_same(changed.talking_forward(host_attention=False), changed.own_forward())


@pytest.mark.parametrize("name", PATCHES)
def test_patches_are_given_what_the_host_gives_them(pair: Pair, name: str) -> None:
    given: list[list[dict[str, Any]]] = [[]]

    def put(model: "ModelPatcher") -> None:
        def noted(arguments: dict[str, Any]) -> Any:
            kept = {key: value.clone() for key, value in arguments.items() if torch.is_tensor(value)}
            others = {key: value for key, value in arguments.items() if key not in kept}
            options = dict(others.pop("transformer_options"))
            told = {key: options.get(key) for key in ("block_index", "grid_sizes", "total_blocks")}
            given[-1].append({**kept, **others, **told, "patches": sorted(options["patches"])})
            return arguments if name == "double_block" else arguments["x"]

        model.set_model_patch(noted, name)

    changed = pair.with_change(put)
    changed.own_forward()
    if not given[0]:
        pytest.skip(f"the host's own Wan calls no {name}")
    given.append([])
    changed.talking_forward()
    own, ours = given
    assert len(own) == len(ours) == 2
    for theirs, mine in zip(own, ours, strict=True):
        assert theirs.keys() == mine.keys()
        for key, value in theirs.items():
            if torch.is_tensor(value):
                assert_same(mine[key], value, key)
            else:
                assert mine[key] == value, key


def in_a_replacement(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Replaces the first block by itself with other inputs."""

    def put(model: "ModelPatcher") -> None:
        def replacement(arguments: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
            return extra["original_block"](change(arguments))

        model.set_model_patch_replace(replacement, "dit", "double_block", 0)

    return put


def with_text_scaled_in_place(arguments: dict[str, Any]) -> dict[str, Any]:
    arguments["txt"] = arguments["txt"].clone()
    arguments["txt"].mul_(-2)
    return arguments


def with_options_of_its_own(arguments: dict[str, Any]) -> dict[str, Any]:
    def override(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return 0.25 * function(*args, **kwargs)

    options = {**arguments["transformer_options"], "optimized_attention_override": override}
    return {**arguments, "transformer_options": options}


REPLACEMENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "img": lambda given: {**given, "img": given["img"].roll(1, dims=1)},
    "txt": lambda given: {**given, "txt": given["txt"].roll(1, dims=1)},
    "txt in place": with_text_scaled_in_place,
    "vec": lambda given: {**given, "vec": given["vec"] * 1.5},
    "pe": lambda given: {**given, "pe": given["pe"].roll(3, dims=1)},
    "transformer_options": with_options_of_its_own,
}


@pytest.mark.parametrize("changed", REPLACEMENTS)
def test_a_replaced_block_takes_all_that_the_replacement_hands_it(pair: Pair, changed: str) -> None:
    assert_acts_as_on_the_host_s_own(pair, in_a_replacement(REPLACEMENTS[changed]))


def test_a_replacement_with_modulation_for_each_token_is_refused(pair: Pair) -> None:
    from evertalk_pack.multitalk.errors import InputError

    changed = pair.with_change(
        in_a_replacement(lambda given: {**given, "vec": given["vec"].repeat(1, 3, 1, 1)})
    )
    with pytest.raises(
        InputError, match=r"model: a node replaces block 0 with modulation of shape \(1, 3, 6"
    ):
        changed.talking_forward()


def test_positions_that_a_node_scales_are_the_host_s(pair: Pair) -> None:
    def put(model: "ModelPatcher") -> None:
        options = model.model_options["transformer_options"]
        options["rope_options"] = {"scale_x": 1.7, "scale_y": 0.6, "shift_t": 2.0}

    assert_acts_as_on_the_host_s_own(pair, put)
