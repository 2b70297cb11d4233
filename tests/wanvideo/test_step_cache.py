import pytest
import torch
from evertalk_pack.wanvideo.step_cache import (
    COEFFICIENTS,
    Drift,
    StepCache,
    StepCacheSettings,
    decide,
    guessed_change,
)

STEPS = 12
LINEAR = (1.0, 0.0)
"""A polynomial that guesses the change to be the modulation's own."""


def modulation(value: float) -> torch.Tensor:
    return torch.full((1, 6, 4), value)


def tripled(x_BLC: torch.Tensor) -> torch.Tensor:
    return 3 * x_BLC


class Blocks:
    """Adds a number that counts up, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x_BLC: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x_BLC + self.calls


def run_steps(cache: StepCache, names: tuple[str, ...], values: list[float]) -> dict[str, list[float]]:
    """What the blocks added to each branch's tokens in each step."""
    added: dict[str, list[float]] = {name: [] for name in names}
    blocks = Blocks()
    x_BLC = torch.zeros(1, 2, 4)
    for step, value in enumerate(values):
        cache.step = step
        for name in names:
            added[name].append(float(cache.run(name, modulation(value), blocks, x_BLC).mean()))
    return added


def test_the_change_is_relative_to_the_evaluation_before() -> None:
    assert guessed_change(modulation(2.0), modulation(3.0), LINEAR) == pytest.approx(0.5)
    assert guessed_change(modulation(2.0), modulation(3.0), (1.0, 0.0, 0.25)) == pytest.approx(0.5)


def test_the_change_is_measured_in_float32() -> None:
    before = torch.linspace(1, 2, 4096).reshape(1, 1, -1)
    now = before * 1.003
    exact = guessed_change(before.bfloat16().float(), now.bfloat16().float(), LINEAR)
    assert guessed_change(before.bfloat16(), now.bfloat16(), LINEAR) == exact


def test_change_adds_up_until_the_threshold_and_then_begins_again() -> None:
    settings = StepCacheSettings(0.25, LINEAR, first_steps=0)
    drift, needed = Drift(0.0, modulation(1.0)), list[bool]()
    for value in (1.1, 1.21, 1.331, 1.4641):
        is_needed, drift = decide(drift, modulation(value), settings, always=False)
        needed.append(is_needed)
    assert needed == [False, False, True, False]
    assert drift.accumulated == pytest.approx(0.1, rel=1e-4)


def test_a_change_that_is_no_number_is_computed() -> None:
    settings = StepCacheSettings(1.0, LINEAR, first_steps=0)
    is_needed, drift = decide(Drift(0.0, modulation(0.0)), modulation(1.0), settings, always=False)
    assert is_needed
    assert drift.accumulated == 0


@pytest.mark.parametrize("branches", [1, 2, 3, 4])
def test_branches_are_counted_apart_however_many_take_turns(branches: int) -> None:
    settings = StepCacheSettings(0.25, LINEAR, first_steps=2)
    names = tuple("abcd"[:branches])
    values = [1.0, 1.1, 1.21, 1.331, 1.4641, 1.61]
    added = run_steps(StepCache(settings, len(values)), names, values)
    pattern = [True, True, False, False, True, False]
    for place, name in enumerate(names):
        # Each branch gets back what was last added to itself, never another's.
        calls = [value for value, is_computed in zip(added[name], pattern, strict=True) if is_computed]
        assert calls == [branches * round_ + place + 1 for round_ in range(3)]
        assert added[name][2] == added[name][3] == added[name][1]
        assert added[name][5] == added[name][4]


def test_a_branch_that_pauses_goes_on_with_its_own_account() -> None:
    cache = StepCache(StepCacheSettings(10.0, LINEAR, first_steps=1), STEPS)
    blocks, x_BLC = Blocks(), torch.zeros(1, 2, 4)
    for step in range(6):
        cache.step = step
        cache.run("full", modulation(1 + step / 10), blocks, x_BLC)
        if step >= 3:
            cache.run("silent", modulation(1 + step / 10), blocks, x_BLC)
    assert blocks.calls == 2, "the late branch is computed when it first comes, then it is left out"
    assert (cache.computed, cache.left_out) == (2, 7)


def test_both_ends_are_always_computed() -> None:
    settings = StepCacheSettings(1e9, LINEAR, first_steps=3, last_steps=2)
    assert [settings.always_computes(step, 8) for step in range(8)] == [True] * 3 + [False] * 3 + [True] * 2
    cache = StepCache(settings, 8)
    run_steps(cache, ("a",), [1.0 + step for step in range(8)])
    assert (cache.computed, cache.left_out) == (5, 3)


def test_a_threshold_of_zero_leaves_nothing_out() -> None:
    cache = StepCache(StepCacheSettings(0.0, COEFFICIENTS["480p"], first_steps=0), STEPS)
    run_steps(cache, ("a", "b"), [1.0] * STEPS)
    assert cache.left_out == 0


def test_what_was_added_is_added_to_the_new_tokens() -> None:
    cache = StepCache(StepCacheSettings(1e9, LINEAR, first_steps=1), STEPS)
    first_BLC, second_BLC = torch.ones(1, 2, 4), torch.full((1, 2, 4), 5.0)
    cache.run("a", modulation(1), tripled, first_BLC)
    cache.step = 1
    assert torch.equal(cache.run("a", modulation(1), tripled, second_BLC), second_BLC + 2)
