"""What nodes put on a MODEL acts as it does on the host's own Wan."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from silent_pair import Change, Pair, assert_acts_as_on_the_host_s_own, assert_same, forward, silent_pair
from tiny_host import TinyFiles

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def pair(tiny: TinyFiles) -> Pair:
    return silent_pair(tiny)


def test_without_audio_s_share_both_forwards_are_the_same(pair: Pair) -> None:
    expected = pair.own_forward()
    assert expected.std() > 0.1
    assert_same(pair.talking_forward(), expected)
    assert_same(pair.talking_forward(host_attention=False), expected)


def test_what_does_not_divide_into_patches_is_padded_by_the_host(pair: Pair) -> None:
    padded = pair.talking_forward(padded=True)
    assert padded.shape == (1, 16, 3, 4, 5)
    assert_same(padded, forward(pair.own, {}, padded=True))


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
    from evertalk_pack.multitalk.common.errors import InputError

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
