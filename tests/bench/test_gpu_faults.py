"""The bench of a GPU's faults runs on a CPU as far as one can, and says which promise was broken."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import evertalk_pack
import pytest

BENCH = Path(evertalk_pack.__path__[0]) / "bench"
PATIENT = ("--limit", "500", "--seconds", "550")
"""On a machine that others use too."""


@pytest.mark.host
@pytest.mark.timeout(600)
def test_a_fault_and_the_run_after_it(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    command = [sys.executable, str(BENCH / "gpu_faults.py"), "--tiny", "--only", "NaN frames"]
    done = subprocess.run(
        [*command, "--out", str(out), *PATIENT],
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # so small a model is slower on more
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert [row["fault"] for row in rows] == ["none", "NaN frames", "all"]
    undisturbed, nan, _ = rows
    assert undisturbed["windows"] == 3
    assert (nan["ended"], nan["windows_kept"], nan["made_by_next_run"]) == ("ended with words", 1, 2)
    assert nan["frames"] == undisturbed["frames"]
    assert "NaN frames | ended with words | 1, 2" in done.stderr


def test_what_cannot_be_tried_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from gpu_faults import chosen_faults

    assert [fault.name for fault in chosen_faults("assert,step", tiny=False)] == ["assert", "step"]
    with pytest.raises(SystemExit, match="--only assert: no fault that can be tried here"):
        chosen_faults("assert", tiny=True)


def test_each_broken_promise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from fault_promises import FAULTS, Seen, broken_promises
    from fault_words import KEPT

    fault = next(one for one in FAULTS if one.name == "NaN frames")
    kept: dict[str, Any] = {
        "error": f"vae: the frames of window 2 hold NaN. {KEPT}",
        "met": [""],
        "written": {0},
        "kept": 1,
        "kept_packets": ["one"],
        "film_packets": ["one", "two"],
        "made_again": 2,
        "frames": (80, 80),
        "used_gb": [30.0, 30.1, 30.2],
        "usable": True,
    }
    assert broken_promises(fault, Seen(**kept), on_gpu=True) == []
    breaking: dict[str, Any] = {
        "error": "vae: out of ideas",
        "met": [],
        "written": {0, 1},
        "kept_packets": ["other"],
        "made_again": 3,
        "frames": (79, 80),
        "used_gb": [30.0, 33.0],
        "usable": False,
    }
    for name, value in breaking.items():
        assert len(broken_promises(fault, Seen(**(kept | {name: value})), on_gpu=True)) == 1, name
    kept["error"] = ""
    assert broken_promises(fault, Seen(**kept), on_gpu=True) == ["the run did not end"]
