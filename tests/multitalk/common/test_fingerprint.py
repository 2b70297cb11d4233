"""Equal values have equal fingerprints in every process; different ones never do."""

import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evertalk_pack.multitalk.common.fingerprint import (
    NoFingerprintError,
    chained,
    fingerprint,
    fingerprint_file,
)
from evertalk_pack.multitalk.windows.settings import NoiseSchedule, WindowSettings

PACK = Path(__file__).resolve().parents[3]

ELSEWHERE = """
import sys, types
pack = types.ModuleType("evertalk_pack"); pack.__path__ = [sys.argv[1]]; sys.modules["evertalk_pack"] = pack
import torch
from evertalk_pack.multitalk.common.fingerprint import fingerprint
from evertalk_pack.multitalk.runs.manifest import FileRecord
print(fingerprint(FileRecord("a.mp4", 3, "0"), {"b": 1, "a": {3, 1, 2}}, torch.arange(5), "é", 1.5, None))
"""

KNOWN = "f0ddd0aec2f4844dc4372edbda0b504e"
"""Of the values in ELSEWHERE: a change here breaks every run that is not finished."""


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Pair:
    left: Any
    right: Any


class Seen:
    def __init__(self, value: float) -> None:
        self.value = value


def adder(amount: float) -> Any:
    def add(value: float) -> float:
        return value + amount

    return add


DIFFERENT: list[Any] = [
    None, False, True, 0, 1, -1, 2**80, 0.0, -0.0, 1.0, float("inf"), float("nan"), "", "0", "1", "None", b"",
    b"1", [], [[]], [1, 2], [[1], 2], [12], {}, {"a": 1}, {"a": 2}, {"b": 1}, {1: "a"}, {"a": {"b": 1}}, {1},
    {1, 2}, Colour.RED, Colour.BLUE, Pair(1, 2), Pair(2, 1), Pair(1, None), Seen(1), Seen(2), adder(1),
    adder(2), partial(adder, 1), partial(adder, 2), WindowSettings(), WindowSettings(77), NoiseSchedule(),
    torch.zeros(2), torch.zeros(3), torch.zeros(1, 2), torch.zeros(2, dtype=torch.float16),
    torch.zeros(2, dtype=torch.int32), torch.tensor([0.0, -0.0]), torch.tensor(0.0), Path("a"), torch.float32,
    np.int64(1), np.int64(2), np.zeros(3), np.ones(3), np.ones(3, np.float32), torch.device("cpu"),
    torch.device("cuda"), 1j, 2j,
]  # fmt: skip


def test_different_values_have_different_fingerprints() -> None:
    marks = [fingerprint(value) for value in DIFFERENT]
    same = [(a, b) for a, b in combinations(range(len(marks)), 2) if marks[a] == marks[b]]
    assert [(DIFFERENT[a], DIFFERENT[b]) for a, b in same] == []


def test_fingerprint_is_the_same_in_another_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(PACK)],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {KNOWN}


def test_order_of_a_mapping_does_not_count_and_that_of_a_list_does() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_values_do_not_run_into_each_other() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(["ab"], "c") != fingerprint(["ab", "c"])


def test_tensor_enters_by_its_values_wherever_they_lie_in_memory() -> None:
    values = torch.arange(12.0).reshape(3, 4)
    assert fingerprint(values.T) == fingerprint(values.T.contiguous())
    assert fingerprint(values.T) != fingerprint(values)
    changed = values.clone()
    changed[2, 3] += 1e-6
    assert fingerprint(changed) != fingerprint(values)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.complex64])
def test_tensor_of_any_type_has_a_fingerprint(dtype: torch.dtype) -> None:
    assert fingerprint(torch.ones(3).to(dtype)) != fingerprint(torch.zeros(3).to(dtype))


def test_large_array_is_read_to_its_end() -> None:
    values = np.zeros(5000)
    before = fingerprint(values)
    values[2500] = 1
    assert fingerprint(values) != before


def test_large_tensor_is_read_to_its_end() -> None:
    values = torch.zeros((1 << 22) + 5)
    before = fingerprint(values)
    values[-1] = 1
    assert fingerprint(values) != before


def test_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NoFingerprintError, match="nested more than 32 deep"):
        fingerprint(loop)


def test_key_of_a_window_stands_for_all_before_it() -> None:
    first, other = chained("", 1), chained("", 2)
    assert chained(first, 3) != chained(other, 3)
    assert chained(first, 3) == chained(first, 3)


def test_file_has_the_fingerprint_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a" * (3 << 20))
    before = fingerprint_file(file)
    file.write_bytes(b"a" * (3 << 20) + b"b")
    assert fingerprint_file(file) != before
