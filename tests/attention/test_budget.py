"""Self-attention of a run within a budget: the first window, later ones, drift, going on after a stop.

Shape letters: B batch, L tokens, H heads, D head dimension.
"""

import pytest
import torch
from attention_video import video_like
from evertalk_pack.attention import block_sparse, sdpa
from evertalk_pack.attention.budget import SAMPLE_EVERY, AttentionBudget, Place, within_budget
from evertalk_pack.attention.choice import AttentionSpec
from evertalk_pack.attention.errors import AttentionStateError
from evertalk_pack.attention.sparse import PLAIN, sparse_kernel

CPU = torch.device("cpu")
NEAR = [True, False, True]
TOKENS = 8 * block_sparse.BLOCK
BLOCKS = 3
QKV = [video_like(TOKENS, NEAR, seed=seed) for seed in range(BLOCKS)]
GLOBAL = [video_like(TOKENS, [False] * 3, seed=seed) for seed in range(BLOCKS)]
Qkv = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def evaluate(budget: AttentionBudget, blocks: list[Qkv], branch: int = 0) -> list[torch.Tensor]:
    attention = within_budget(sdpa.attend)
    with budget.evaluating(branch, sdpa.attend):
        return [attention(*qkv) for qkv in blocks]


def window(
    budget: AttentionBudget, index: int, blocks: list[Qkv] = QKV, evaluations: int = 2
) -> list[torch.Tensor]:
    budget.begin(index)
    outs = [out for _ in range(evaluations) for out in evaluate(budget, blocks)]
    budget.finish()
    return outs


def exact(blocks: list[Qkv] = QKV) -> list[torch.Tensor]:
    return [sdpa.attend(*qkv) for qkv in blocks]


def make() -> AttentionBudget:
    return AttentionBudget(0.02, PLAIN, CPU)


def same(outs: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, outs, others))


def test_the_first_window_is_exact_and_the_next_sparse_within_the_budget() -> None:
    budget = make()
    assert same(window(budget, 0), exact() * 2)
    later = window(budget, 1)
    assert not same(later, exact() * 2)
    for out, reference in zip(later, exact() * 2, strict=True):
        norm = torch.linalg.vector_norm
        error_H = norm(out - reference, dim=(0, 1, 3)) / norm(reference, dim=(0, 1, 3))
        assert 0 < float(error_H.max()) <= 0.02
        assert float(error_H[1]) < 1e-5, "the head that looks anywhere is exact"
    assert budget.share == pytest.approx(2 / 3)
    assert 0 < budget.errors.mean <= budget.errors.worst <= 0.02


def test_each_attention_of_an_evaluation_has_a_plan_of_its_own() -> None:
    budget = make()
    window(budget, 0)
    assert sorted(budget.plans) == [
        Place(0, evaluation, block) for evaluation in (0, 1) for block in (0, 1, 2)
    ]
    budget.begin(1)
    evaluate(budget, QKV, branch=1)
    budget.finish()
    assert Place(1, 0, 2) in budget.plans, "a branch that comes later is tried when it comes"


def test_other_attentions_are_the_exact_kernel_s() -> None:
    budget = make()
    q, k, v = QKV[0]
    budget.begin(0)
    with budget.evaluating(0, sdpa.attend):
        out = within_budget(sdpa.attend)(q, k[:, :32], v[:, :32])
    budget.finish()
    assert out.equal(sdpa.attend(q, k[:, :32], v[:, :32]))
    assert budget.plans == {}


def test_heads_that_drift_over_the_budget_are_exact_from_there_on() -> None:
    budget = make()
    window(budget, 0)
    assert budget.share > 0
    for index in range(1, 1 + SAMPLE_EVERY):
        window(budget, index, GLOBAL)
    assert budget.share == 0, "every attention was sampled again in so many windows"
    assert same(window(budget, 40, GLOBAL), exact(GLOBAL) * 2)
    assert budget.errors.worst <= 0.02, "errors of heads that were left are not those that ran"


def test_an_attention_that_is_sampled_and_found_over_gives_the_exact_result_at_once() -> None:
    budget = make()
    window(budget, 0, evaluations=1)
    out = window(budget, SAMPLE_EVERY, GLOBAL, evaluations=1)[0]  # of branch 0, evaluation 0, block 0
    torch.testing.assert_close(out, exact(GLOBAL)[0])


def test_a_window_that_is_begun_again_gives_the_same_again() -> None:
    budget = make()
    window(budget, 0)
    budget.begin(1)
    evaluate(budget, GLOBAL)  # fails here, is begun again
    again = window(budget, 1)
    other = make()
    window(other, 0)
    assert same(again, window(other, 1))
    fresh = make()
    fresh.begin(0)
    evaluate(fresh, QKV)
    assert same(window(fresh, 0), exact() * 2), "what an unfinished first window found is forgotten"


def test_a_run_goes_on_after_a_stop_as_if_there_had_been_none() -> None:
    whole, stopped, resumed = make(), make(), make()
    expected = [window(whole, index) for index in range(4)]
    for index in range(2):
        window(stopped, index)
    state = stopped.state()
    assert (state.dtype, state.shape) == (torch.uint8, (6, 4 + 3))
    resumed.restore(state, 3)
    assert same(window(resumed, 2) + window(resumed, 3), expected[2] + expected[3])
    assert resumed.saved_s() is None, "no exact attention was timed in this process"
    assert whole.saved_s() is not None


@pytest.mark.parametrize(
    ("state", "heads"),
    [(torch.full((2, 7), 9, dtype=torch.uint8), 3), (torch.zeros(2, 6, dtype=torch.uint8), 2)],
    ids=["unknown levels", "other heads"],
)
def test_a_state_of_another_run_is_refused(state: torch.Tensor, heads: int) -> None:
    expected = rf"is of {heads} heads and other levels; expected 3 heads and levels up to 3. Choose resume"
    with pytest.raises(AttentionStateError, match=expected):
        make().restore(state, 3)


def test_compiled_blocks_are_one_graph_and_give_the_same() -> None:
    plain, budget = make(), make()
    expected = [window(plain, index) for index in range(3)]
    torch.compiler.reset()
    attention = torch.compile(within_budget(sdpa.attend), fullgraph=True, backend="aot_eager")
    for index in range(3):
        budget.begin(index)
        outs: list[torch.Tensor] = []
        for _ in range(2):
            with budget.evaluating(0, sdpa.attend):
                outs += [attention(*qkv) for qkv in QKV]
        budget.finish()
        assert same(outs, expected[index])


def test_on_a_cpu_the_method_runs_in_plain_torch_and_small_windows_are_refused() -> None:
    spec = AttentionSpec(CPU, torch.float32, 32)
    assert sparse_kernel(spec, TOKENS) is PLAIN
    assert sparse_kernel(spec, 100) == (
        "a window has 100 tokens, and sparse attention pays from 128 on. Choose a larger size or more "
        "window_frames, or set attention_budget to 0."
    )
