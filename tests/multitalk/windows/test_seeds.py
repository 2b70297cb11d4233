"""Seeds of single windows, from the text that a person writes, and the noise of each window."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.seeds import (
    SEED_RANGE,
    Draw,
    WindowSeeds,
    drawn_ahead,
    parse_window_seeds,
    seeded_noise,
    window_seed,
)

SHAPE = (1, 16, 3, 8, 8)


def test_windows_are_counted_from_one_and_may_come_in_any_order_and_form() -> None:
    seeds, notes = parse_window_seeds(" 9:7,4 : 1234\n 2: 0;\n", 5)
    assert seeds == WindowSeeds(((1, 0), (3, 1234), (8, 7)))
    assert notes == ()
    assert str(seeds) == "2: 0, 4: 1234, 9: 7"


@pytest.mark.parametrize("text", ["", "  ", "\n,;"])
def test_nothing_asks_for_nothing(text: str) -> None:
    assert parse_window_seeds(text, 0) == (WindowSeeds(), ())


def test_window_has_its_seed_and_all_others_the_runs() -> None:
    seeds = WindowSeeds(((3, 1234),))
    assert [seeds.of_run(5, index) for index in (2, 3, 4)] == [5, 1234, 5]
    assert [seeds.of(index) for index in (2, 3)] == [None, 1234]


def test_seed_of_the_run_itself_changes_nothing_and_is_told() -> None:
    seeds, (note,) = parse_window_seeds("4: 5, 6: 1", 5)
    assert seeds == WindowSeeds(((5, 1),))
    assert "window 4 has the seed 5 of the whole run" in note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4", "'4' is not a window and seed. Write a window's number"),
        ("4: 1 9: 2", "'4: 1 9: 2' is not a window and seed"),
        ("4: -1", "is not a window and seed"),
        ("4: 1.5", "is not a window and seed"),
        ("\u0664: 1", "is not a window and seed"),
        ("four: 1", "is not a window and seed"),
        ("0: 1", "there is no window 0, the first is window 1"),
        ("4: 1, 4: 2", "window 4 has two seeds"),
        (f"4: {2**63}", f"seed {2**63} of window 4, expected 0 to {2**63 - 1}"),
        ("4: " + "9" * 31, "is not a window and seed"),
        ("1" * 1_000_001, "1000001 characters, expected 1000000 at most"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^window_seeds: .*{message}"):
        parse_window_seeds(text, 0)


def test_largest_seed_is_taken() -> None:
    assert parse_window_seeds(f"1: {2**63 - 1}", 0)[0] == WindowSeeds(((0, 2**63 - 1),))


def test_window_behind_the_last_is_refused() -> None:
    seeds = WindowSeeds(((2, 1), (6, 1)))
    seeds.check_count(7)
    with pytest.raises(InputError, match=r"window_seeds: window 7, but the run has 6\. .*from 1 to 6"):
        seeds.check_count(6)


def test_a_window_s_noise_can_be_made_again_alone() -> None:
    whole = [seeded_noise(7, index)(SHAPE) for index in range(4)]
    assert torch.equal(seeded_noise(7, 3)(SHAPE), whole[3])


def test_windows_and_seeds_have_noise_of_their_own() -> None:
    drawn = [seeded_noise(seed, index)(SHAPE) for seed in (0, 1, 2) for index in range(4)]
    correlations = torch.corrcoef(torch.stack([noise.flatten() for noise in drawn])) - torch.eye(12)
    assert correlations.abs().max() < 0.15


def test_each_draw_of_a_window_is_fresh_and_their_order_is_fixed() -> None:
    first, again = seeded_noise(3, 1), seeded_noise(3, 1)
    draws = first(SHAPE), first(SHAPE)
    assert not torch.equal(*draws)
    assert torch.equal(again(SHAPE), draws[0])
    assert torch.equal(again(SHAPE), draws[1])


def test_noise_that_is_drawn_ahead_is_the_same_however_many_draws_are_asked_for() -> None:
    shape = (2, 3)
    for expected_count in (0, 2, 5):
        ahead, plain = drawn_ahead(lambda: seeded_noise(7, 1), shape, expected_count), seeded_noise(7, 1)
        for _ in range(4):
            assert torch.equal(ahead(), plain(shape))


def test_noise_is_drawn_before_it_is_asked_for_and_on_another_thread() -> None:
    threads: list[str] = []
    is_drawn = threading.Event()

    def drawing(shape: tuple[int, ...]) -> torch.Tensor:
        threads.append(threading.current_thread().name)
        if len(threads) == 2:
            is_drawn.set()
        return torch.zeros(shape)

    drawn_ahead(lambda: drawing, (1,), 2)
    assert is_drawn.wait(30)
    assert threading.current_thread().name not in threads


def test_what_fails_while_noise_is_drawn_ahead_comes_out_where_it_is_asked_for() -> None:
    def begin() -> Draw:
        raise MemoryError("no room")

    draw = drawn_ahead(begin, (1,), 3)
    with pytest.raises(MemoryError, match="no room"):
        draw()


def test_noise_is_standard_normal_float32_on_the_cpu() -> None:
    noise = seeded_noise(0, 0)((1, 16, 8, 32, 32))
    assert noise.dtype == torch.float32
    assert noise.device.type == "cpu"
    assert abs(noise.mean().item()) < 0.02
    assert abs(noise.std().item() - 1) < 0.02


def test_the_first_window_uses_the_seed_itself_and_later_ones_stay_in_range() -> None:
    assert window_seed(12345, 0) == 12345
    seeds = [window_seed(SEED_RANGE - 1, index) for index in range(1000)]
    assert all(0 <= seed < SEED_RANGE for seed in seeds)
    assert len(set(seeds)) == 1000


class CountedPairs(tuple[tuple[int, int], ...]):
    """Seeds by window; counts how many of them are looked at."""

    looked_at = 0

    def __getitem__(self, place: Any) -> Any:
        self.looked_at += 1
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for pair in super().__iter__():
            self.looked_at += 1
            yield pair


def test_seed_of_a_window_is_found_without_looking_at_all_of_them() -> None:
    pairs = CountedPairs((2 * index, index) for index in range(10_000))
    seeds = WindowSeeds(pairs)
    assert [seeds.of(index) for index in (0, 1, 9_998, 19_998, 19_999)] == [0, None, 4_999, 9_999, None]
    assert pairs.looked_at < 5 * 30
