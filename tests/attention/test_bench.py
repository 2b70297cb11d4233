"""bench/attention.py runs from a bare checkout, here on a CPU at a tiny size."""

import json
import subprocess
import sys
from pathlib import Path

import evertalk_pack

BENCH = Path(evertalk_pack.__path__[0]) / "bench" / "attention.py"


def test_the_bench_prints_a_row_for_each_backend_and_shape(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH), "--device", "cpu", "--scale", "256", "--runs", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    report = json.loads(run.stdout)
    assert (report["device"], report["auto"]) == ("cpu", "sdpa")
    assert [shape["tokens"] for shape in report["shapes"]] == [127, 127, 32]
    assert len(report["rows"]) == 3 * 8
    for row in report["rows"]:
        if row["backend"] == "sdpa":
            assert row["ms"] > 0
            assert 0 < row["relative_error"] < 0.01
        else:
            assert "cannot run it" in row["why_not"]
