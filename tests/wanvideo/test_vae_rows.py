"""The VAE by several processes that share its rows: the frames and latents of one process."""

import pytest
import torch
from rank_processes import Results, run_on_ranks
from vae_row_cases import ROWS, all_cases

pytestmark = pytest.mark.host

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """What each of three ranks found: the second has two neighbours."""
    return run_on_ranks(all_cases, 3, tmp_path_factory.mktemp("vae_rows"))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("what", ["decode", "encode"])
def test_the_first_rank_gets_what_one_process_gets_and_the_others_nothing(
    found: list[Results], what: str, rows: str
) -> None:
    whole, shared = found[0][f"{what}, {rows}"]
    torch.testing.assert_close(shared, whole, atol=TOLERANCE, rtol=0)
    assert all(rank[f"{what}, {rows}"][1].numel() == 0 for rank in found[1:])


def test_every_rank_computes_its_own_rows_alone(found: list[Results]) -> None:
    assert [rank["convolved"] for rank in found] == [8 * rows + 2 for rows in (3, 2, 2)]


def test_frames_side_by_side_are_convolved_to_the_same(found: list[Results]) -> None:
    whole, shared = found[0]["side by side"]
    torch.testing.assert_close(shared, whole, atol=TOLERANCE, rtol=0)


def test_a_residual_block_is_one_graph_with_its_exchanges_in_it(found: list[Results]) -> None:
    for whole, together, graphs in (rank["graphs"] for rank in found):
        assert graphs == 1
        torch.testing.assert_close(together, whole, atol=TOLERANCE, rtol=0)
