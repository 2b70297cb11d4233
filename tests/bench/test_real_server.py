"""The bench of the real server runs whole on a CPU, and tells what went wrong where something does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evertalk_pack
import pytest
import torch

pytestmark = pytest.mark.host

BENCH = Path(evertalk_pack.__path__[0]) / "bench"

PATIENT = ("--limit", "550", "--seconds", "570")
"""On a machine that others use too."""


RowsOf = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def rows_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RowsOf:
    """Runs the bench here, whose servers then start as those of the other tests; exit status and rows."""
    monkeypatch.syspath_prepend(str(BENCH))
    import real_server

    monkeypatch.setenv(real_server.SETTINGS, "{}")  # as it was, when a test has ended

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        monkeypatch.setattr(sys, "argv", ["real_server.py", "--tiny", *arguments])
        with pytest.raises(SystemExit) as ended:
            real_server.main()
        assert isinstance(ended.value.code, int), ended.value.code
        return ended.value.code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_variants_one_after_the_other_and_on_after_a_failure(rows_of: RowsOf, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    variants = "attention=nonsense,fp8_e4m3fn+lora+runs=2+profile=0+compute=bfloat16+--reserve-vram=1"
    code, rows = rows_of(
        "--models", str(tmp_path), "--variants", variants, "--out", str(out), *PATIENT, "--", "--nope"
    )
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    wrong, right = rows
    assert code == 1
    assert wrong["ended"].startswith("JobError")
    assert "nonsense" in wrong["ended"]
    assert wrong["log_end"], "the server's last lines say more"
    assert right["ended"] == "done"
    assert right["flags_unknown_to_this_core"] == ["--nope"], "left out, and said"
    assert "log_end" not in right
    first, second = right["runs"]
    assert first["video"]["frames"] == second["video"]["frames"] == 125
    assert first["video"]["last_spread"] > 1, "not one colour"
    assert first["video"] != second["video"], "another seed"
    assert first["summary"]["windows"] == 2
    assert first["first_window_s"] > 0
    assert len(first["window_s"]) == 1
    assert any("LoRA" in text for text in first["said"])
    assert right["most_gb"]["VmHWM"] > 0.1
    assert first["summary"]["compute"] == {"asked": "bfloat16", "ran": "bfloat16"}
    (profile,) = right["profiles"]
    told = profile["window 1"]
    assert len(told["ranges_ms"]["forward"]) == 4
    assert 0 < sum(told["ranges_ms"]["decode"]) < told["ms"]
    assert 0 < told["outside_ms"] < told["ms"]
    assert "forward" in profile["until its second window"]["ms"]


def test_a_folder_of_flashtalk_runs_its_own_workflow(rows_of: RowsOf) -> None:
    code, (row,) = rows_of("--variants", "flashtalk+fp8_e4m3fn+steps=2+seconds=3+profile=0", *PATIENT)
    assert (code, row["ended"]) == (0, "done"), row
    (run,) = row["runs"]
    assert run["video"]["frames"] == 75
    assert run["summary"]["windows"] == 3
    assert run["summary"]["is_live"] == (run["summary"]["frames_a_second"] >= 25)
    assert any("flashtalk mode, 2 steps (flashtalk_2" in text for text in run["said"])
    assert len(run["window_s"]) == 2
    after = row["profiles"][0]["the windows after it"]
    assert after["windows"] == 1, "the last one has no window after it that would tell its end"
    assert 0 < after["ms"]["forward"] < after["total_ms"]
    assert {"decode", "sampling, but for forwards"} <= set(after["ms"])


def test_a_server_that_is_killed_on_the_way_is_followed_by_another(rows_of: RowsOf) -> None:
    code, (row,) = rows_of("--variants", "as_stored+kill=1+seconds=5.5", *PATIENT)
    killed, went_on = row["runs"]
    assert (code, row["ended"]) == (0, "done")
    assert killed["ended"] == "killed after 1 windows"
    assert went_on["video"]["frames"] == 138
    assert any(text.startswith("resumed: 1 of") for text in went_on["said"])
    assert went_on["summary"]["windows"] == 2
    assert went_on["first_window_s"] > 0
    assert went_on["window_s"] == [], "one was finished before"


def test_a_variant_that_takes_too_long_is_stopped(rows_of: RowsOf) -> None:
    minutes_of_work = "as_stored+steps=200+seconds=300"
    code, rows = rows_of("--variants", f"{minutes_of_work},bf16", "--limit", "40", "--seconds", "50")
    late, left_out = rows
    assert code == 1
    assert late["ended"] == "stopped at its limit of 40 s"
    assert "total_s" in late["runs"][0]
    assert left_out["ended"] == "not begun: no time left"


def test_several_gpus_are_a_node_between_loader_and_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from server_graph import graph_of
    from server_variants import Variant, variant_of

    variant = variant_of("as_stored+gpus=4", Variant(""))
    graph = graph_of(variant, variant.files(tiny=True), seed=1)
    assert graph["parallel"]["class_type"] == "EverTalkParallel"
    assert graph["parallel"]["inputs"]["gpus"] == "4"
    of = {node["class_type"]: node["inputs"] for node in graph.values()}
    assert of["EverTalkSampler"]["model"] == ["parallel", 0]
    assert graph[of["EverTalkParallel"]["model"][0]]["class_type"] == "EverTalkModelLoader"
    one = graph_of(Variant(""), variant.files(tiny=True), seed=1)
    assert "parallel" not in one


def test_two_voices_are_heard_together(rows_of: RowsOf) -> None:
    code, (row,) = rows_of("--variants", "as_stored+voices=2+seconds=1.5")
    assert code == 0, row
    assert any("B the right half" in text for text in row["runs"][0]["said"]), row["runs"][0]["said"]


def test_other_numbers_of_voices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from server_variants import Variant, VariantError, variant_of

    assert variant_of("voices=2", Variant("")).voices == 2
    for word in ("voices=3", "voices=two"):
        with pytest.raises(VariantError, match=f"`{word}` is no word of it"):
            variant_of(word, Variant(""))


def test_what_is_misspelt_is_refused_before_anything_runs() -> None:
    command = [sys.executable, str(BENCH / "real_server.py"), "--tiny", "--variants", "bf16+compiled"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "`compiled` is no word of it" in done.stderr


@pytest.mark.parametrize("form", ["fp16", "bf16", "fp8_e4m3fn", "fp8_scaled", "fp8_quant"])
def test_the_files_are_what_their_names_say(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    import random_files
    from evertalk_pack.multitalk.model.origin import origin_of
    from evertalk_pack.wanvideo.checkpoint import read_header
    from evertalk_pack.wanvideo.checkpoint_kind import CheckpointKind, describe_checkpoint
    from safetensors.torch import load_file

    files = random_files.FileSet(is_tiny=True, base_form=form, audio_form=form, with_lora=True)
    assert files.write(tmp_path, torch.device("cpu")) > 0
    assert files.write(tmp_path, torch.device("cpu")) == 0, "all there already"
    base, audio, lora = (
        tmp_path / folder / name
        for folder, name in (
            ("diffusion_models", files.base),
            ("model_patches", files.audio),
            ("loras", files.lora),
        )
    )
    kinds = [describe_checkpoint(read_header(path)).kind for path in (base, audio, lora)]
    assert kinds == [CheckpointKind.WAN21_I2V, CheckpointKind.TALK_WEIGHTS, CheckpointKind.LORA]
    weights = load_file(base)
    matrix = weights["blocks.0.ffn.2.weight"].float()
    scales = [weights[name] for name in weights if name.startswith("blocks.0.ffn.2.") and "scale" in name]
    matrix = matrix * scales[0] if scales else matrix
    assert matrix.std().item() == pytest.approx(512**-0.5, rel=0.05), "what goes through keeps its size"
    whole = random_files.FileSet(is_tiny=True, base_form=form, whole="skyreels")
    whole.write(tmp_path, torch.device("cpu"))
    header = read_header(tmp_path / "diffusion_models" / whole.base)
    assert describe_checkpoint(header).has_talk_weights
    assert origin_of(header, describe_checkpoint(header)).mode == "skyreels"
    os.truncate(base, base.stat().st_size - 1)
    assert files.write(tmp_path, torch.device("cpu")) == base.stat().st_size, "a torn one is written again"
