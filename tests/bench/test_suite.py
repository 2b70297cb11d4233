"""Every bench runs whole: on a CPU, in small, without compiling, in a ComfyUI's folder."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import evertalk_pack
import pytest

pytestmark = pytest.mark.host

SUITE = Path(evertalk_pack.__path__[0]) / "bench" / "suite.py"


def rows_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """What a suite wrote, by the bench."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        found.setdefault(row["run"], []).append(row)
    return found


def run_suite(out: Path, *arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    command = [sys.executable, str(SUITE), "--tiny", "--out", str(out), *arguments]
    code = subprocess.run(command, check=False).returncode
    return code, rows_of(out)


def told(rows: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    return [row for row in rows if row.get("what") == what]


def test_the_first_half_of_a_gpu_s_time(tmp_path: Path) -> None:
    code, runs = run_suite(tmp_path / "rows.jsonl", "--parts", "first")
    assert {name: rows[-1]["ended"] for name, rows in runs.items()} == dict.fromkeys(
        ("bf16 compiled", "fp8 rowwise compiled", "numerics", "sparse attention", "attention", "speaker map"),
        "exit status 0",
    )
    assert code == 0
    whats = [row.get("what") for row in runs["bf16 compiled"]]
    forwards = ["one_voice", "profile", "two_voices", "profile"]
    parts = [*forwards, "encode", "encode_motion", "decode", "profile", "windows"]
    assert whats == [None, "attention", *parts, None]
    assert len(told(runs["bf16 compiled"], "windows")[0]["window_s"]) == 2
    assert {row["backend"] for row in told(runs["attention"], "attention") if "ms" in row} == {"sdpa"}
    assert [row["budget"] for row in told(runs["sparse attention"], "budget")] == [0.01, 0.02, 0.05] * 2
    (bf16,) = [row for row in runs["numerics"] if row.get("precision") == "torch.bfloat16"]
    assert 0 < bf16["relative_error"] < 0.02


def test_the_second_half_of_a_gpu_s_time(tmp_path: Path) -> None:
    code, runs = run_suite(tmp_path / "rows.jsonl", "--parts", "second")
    assert {name: rows[-1]["ended"] for name, rows in runs.items()} == dict.fromkeys(
        ("LoRA offloaded", "FlashTalk", "several GPUs", "TeaCache"), "exit status 0"
    )
    assert code == 0
    for name, kind in (("ours", "OffloadedPatch"), ("host", "LowVramPatch")):
        (row,) = told(runs["LoRA offloaded"], name)
        assert row["patches_on_the_way"] == {kind: 24}, "two blocks' twelve matrices"
    four, two = told(runs["FlashTalk"], "windows")
    assert [row["schedule"] for row in (four, two)] == ["flashtalk", "flashtalk_2"]
    for row in (four, two):
        assert row["parts_s"].keys() == {"encode", "sample", "decode", "finish"}
        assert row["frames_a_second"] == pytest.approx(4 / row["window_s"], rel=0.02)
    rows = runs["several GPUs"]
    assert [row["ranks"] for row in told(rows, "ranks") + told(rows, "exchange")] == [2, 2], "of two heads"
    assert all(row["relative_difference"] < 0.01 for row in told(rows, "split") + told(rows, "ranks"))
    assert len(told(rows, "exchange")[0]["waiting_s"]) == 2
    assert [row.get("is_a_projection", False) for row in told(rows, "minute")] == [False, True, True, False]
    exact, *cached = told(runs["TeaCache"], "teacache")
    assert exact["relative_difference"] == 0
    assert all(row["computed"] + row["left_out"] == 8 for row in cached)


def test_the_vae_s_bench(tmp_path: Path) -> None:
    code, runs = run_suite(tmp_path / "rows.jsonl", "--parts", "rest")
    assert code == 0
    decodes = told(runs["VAE"], "decode")
    assert [row["by"] for row in decodes] == ["host", "chunk_1", "chunk_4"]
    assert all(row["largest_difference"] < 1e-3 for row in decodes[1:])


def test_what_finds_no_time_is_said_and_counts_as_not_done(tmp_path: Path) -> None:
    code, runs = run_suite(tmp_path / "rows.jsonl", "--parts", "second", "--seconds", "1")
    assert code == 1
    assert all(rows[-1]["ended"] == "not begun: no time left" for rows in runs.values())
    assert list(runs) == ["LoRA offloaded", "FlashTalk", "several GPUs", "TeaCache"]


def test_a_bench_that_is_stopped_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SUITE.parent))
    import suite

    endless = """import time; print('{"what": 1}', flush=True); time.sleep(60)"""
    entry = suite.Entry("first", "endless", "none", 1)
    with (tmp_path / "rows.jsonl").open("w", encoding="utf-8") as out:
        assert not suite.run_entry(entry, [sys.executable, "-c", endless], 1.0, out)
    first, last = rows_of(tmp_path / "rows.jsonl")["endless"]
    assert first["what"] == 1
    assert last["ended"] == "stopped at its limit of 1 s"
