"""The host's model on several processes, and what of other nodes' cannot act there."""

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from rank_processes import run_on_ranks
from tiny_host import TinyFiles

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

pytestmark = pytest.mark.host

TOLERANCE = 1e-4
ALONE = r"but on several GPUs each has only its share of them, .* Remove the node, or run on one GPU\."


def patch(given: dict[str, Any], *_: Any) -> dict[str, Any]:
    return given


def options_of(model: "ModelPatcher") -> dict[str, Any]:
    return model.model_options["transformer_options"]


def test_all_ranks_get_what_one_process_gets(
    tiny: TinyFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import rank_host

    cases = partial(rank_host.all_cases, tiny)
    for found in run_on_ranks(cases, 2, tmp_path_factory.mktemp("ranks")):
        assert len(found) == 4
        for name, (whole, shared) in found.items():
            torch.testing.assert_close(
                shared, whole, atol=TOLERANCE, rtol=TOLERANCE, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_a_replaced_block_is_refused_by_name(talking: "ModelPatcher") -> None:
    from evertalk_pack.nodes.host.model.rank_checks import check_options

    check_options(options_of(talking))
    talking.set_model_patch_replace(patch, "dit", "double_block", 1)
    with pytest.raises(InputError, match=rf"model: a node replaces block 1 \(patch \(.*\)\), {ALONE}"):
        check_options(options_of(talking))


@pytest.mark.parametrize(
    ("name", "deed"),
    [
        ("attn1_patch", "changes what self-attention gave"),
        ("attn2_patch", "changes the tokens after the attention to text and picture"),
        ("double_block", "changes the tokens after a block"),
    ],
)
def test_a_patch_that_the_host_would_call_is_refused_by_name(
    talking: "ModelPatcher", name: str, deed: str
) -> None:
    from evertalk_pack.nodes.host.compat.wan_model import honoured_patches
    from evertalk_pack.nodes.host.model.rank_checks import check_options

    talking.set_model_patch(patch, name)
    if name not in honoured_patches():
        check_options(options_of(talking))
        return
    with pytest.raises(InputError, match=rf"model: a node {deed} \({name}: patch \(.*\)\), {ALONE}"):
        check_options(options_of(talking))


def test_a_node_s_own_attention_is_refused_by_name(talking: "ModelPatcher") -> None:
    from evertalk_pack.nodes.host.model.rank_checks import check_options

    options_of(talking)["optimized_attention_override"] = patch
    with pytest.raises(InputError, match=rf"another attention on the MODEL \(patch \(.*\)\), {ALONE}"):
        check_options(options_of(talking))


def test_sparse_attention_is_refused_on_several_gpus() -> None:
    from evertalk_pack.nodes.host.model.rank_checks import check_budget_on_ranks

    check_budget_on_ranks(0.0)
    with pytest.raises(
        InputError, match=r"attention_budget: .* Set attention_budget to 0, or run on one GPU"
    ):
        check_budget_on_ranks(2.0)
