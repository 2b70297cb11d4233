"""One evaluation by several processes: the result of one process, on each of them."""

import pytest
import torch
from evertalk_pack.wanvideo.errors import RankCountError
from evertalk_pack.wanvideo.ranks import check_size, fitting_sizes
from rank_cases import CASES, COMPILED_BY, HEADS, all_cases
from rank_processes import Results, run_on_ranks

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=[2, 4])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """What each of two ranks found, and of four."""
    return run_on_ranks(all_cases, request.param, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("case", CASES)
def test_all_ranks_get_what_one_process_gets(found: list[Results], case: str) -> None:
    for whole, shared, _ in (rank[case] for rank in found):
        torch.testing.assert_close(shared, whole, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_every_rank_and_every_run_gives_the_same_bytes(found: list[Results], case: str) -> None:
    first = found[0][case][1]
    for _, shared, again in (rank[case] for rank in found):
        assert torch.equal(shared, first)
        assert torch.equal(again, first)


def test_an_attention_sees_all_tokens_in_a_few_heads_or_a_few_tokens_in_all_heads(
    found: list[Results],
) -> None:
    tokens, ranks = 24, len(found)
    shared, heads = tokens // ranks, HEADS // ranks
    of_itself, of_text, of_picture = [tokens, heads, tokens, heads], [shared, 4, 6, 4], [shared, 4, 5, 4]
    assert [rank["kernel"] for rank in found] == [[of_itself, of_text, of_picture]] * ranks


@pytest.mark.parametrize("found", [COMPILED_BY], indirect=True)
def test_a_block_is_one_graph_with_its_exchanges_in_it(found: list[Results]) -> None:
    for graphed, graphs, eager in (rank["compiled"] for rank in found):
        assert graphs == 1
        torch.testing.assert_close(graphed, eager, atol=1e-5, rtol=1e-5)


def test_the_first_rank_decides_which_steps_are_left_out(found: list[Results]) -> None:
    for rank in found:
        (*wholes, computed), (*shareds, computed_together) = rank["step cache"]
        assert computed == computed_together == 2, "the first step, and the third, whose timestep leaps"
        for whole, shared in zip(wholes, shareds, strict=True):
            torch.testing.assert_close(shared, whole, atol=TOLERANCE, rtol=0)


def test_an_answer_of_the_first_rank_is_everybodys(found: list[Results]) -> None:
    assert [rank["agreed"] for rank in found] == [[True, False]] * len(found)


@pytest.mark.parametrize(("heads", "sizes"), [(40, (1, 2, 4, 5, 8)), (12, (1, 2, 3, 4, 6)), (4, (1, 2, 4))])
def test_heads_are_shared_evenly_or_not_at_all(heads: int, sizes: tuple[int, ...]) -> None:
    assert fitting_sizes(heads, 8) == sizes
    check_size(heads, sizes[-1])


def test_a_number_that_does_not_divide_the_heads_is_refused_with_those_that_do() -> None:
    with pytest.raises(RankCountError, match=r"3 GPUs .* 40 attention heads .*: 1, 2, 4, 5, 8, 10, 20, 40\."):
        check_size(40, 3)
