"""The VAE by several processes that share its rows: the frames and latents of one process."""

import pytest
import torch
from rank_processes import Results, run_on_ranks
from vae_row_cases import GRAPHED_BY, ROWS, all_cases

pytestmark = pytest.mark.host

TOLERANCE = 2e-5


@pytest.fixture(scope="module", params=[2, 4])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """What each of two ranks found, and of four."""
    return run_on_ranks(all_cases, request.param, tmp_path_factory.mktemp("vae_rows"))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("what", ["decode", "encode"])
def test_the_first_rank_gets_what_one_process_gets_and_the_others_nothing(
    found: list[Results], what: str, rows: str
) -> None:
    whole, shared = found[0][f"{what}, {rows}"]
    torch.testing.assert_close(shared, whole, atol=TOLERANCE, rtol=0)
    assert all(rank[f"{what}, {rows}"][1].numel() == 0 for rank in found[1:])


def test_every_rank_computes_its_own_rows_alone(found: list[Results]) -> None:
    shares = {2: [4, 3], 4: [2, 2, 2, 1]}[len(found)]
    assert [rank["convolved"] for rank in found] == [8 * share + 2 for share in shares]


def test_frames_side_by_side_are_convolved_to_the_same(found: list[Results]) -> None:
    whole, shared = found[0]["side by side"]
    torch.testing.assert_close(shared, whole, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("found", [GRAPHED_BY], indirect=True)
def test_a_residual_block_is_one_graph_with_its_exchanges_in_it(found: list[Results]) -> None:
    for eager, together, graphs in (rank["graphs"] for rank in found):
        assert 5 <= graphs <= 8, "one for each size and width, some in two orders of memory"
        torch.testing.assert_close(together, eager, atol=TOLERANCE, rtol=0)
