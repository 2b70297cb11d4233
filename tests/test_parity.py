"""Every public golden case, through the same code as `python tests/parity.py`."""

import dataclasses
from pathlib import Path

import parity
import parity_runners.loop
import pytest
import torch
from evertalk_pack.multitalk.windows.plan import plan_windows
from parity_case import PUBLIC_CASES, Case, Tolerance, load_case
from parity_kinds import KINDS, kind_of

PENDING: frozenset[str] = frozenset()
"""Kinds whose code is not written yet."""

FOLDERS = sorted(file.parent for file in PUBLIC_CASES.glob("*/case.json"))


def case_in(folder: Path) -> Case:
    return load_case(folder, kind_of)


def test_every_public_kind_has_a_runner_or_is_pending() -> None:
    kinds = {case_in(folder).kind for folder in FOLDERS}
    without = kinds - set(parity.RUNNERS) - PENDING
    assert not without, f"no runner in parity.RUNNERS for {sorted(without)}: write one, or list it as PENDING"
    assert len(FOLDERS) == 18


def test_a_kind_with_a_runner_is_not_pending() -> None:
    done = PENDING & set(parity.RUNNERS)
    assert not done, f"take {sorted(done)} out of PENDING: a runner exists"
    assert set(KINDS) >= PENDING | set(parity.RUNNERS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_public_case_is_within_its_tolerance(folder: Path) -> None:
    case = case_in(folder)
    if case.kind not in parity.RUNNERS:
        assert case.kind in PENDING, f"no runner for kind {case.kind!r}"
        pytest.skip(f"{case.kind} is pending")
    findings = parity.check(case, parity.RUNNERS[case.kind])
    assert findings
    assert not [str(finding) for finding in findings if not finding.passed]


def test_an_error_above_the_tolerance_fails() -> None:
    golden = torch.tensor([1.0, 2.0])
    assert parity.compare("out_a", golden + 1e-5, golden, Tolerance(2e-5, 0)).passed
    finding = parity.compare("out_a", golden + 1e-3, golden, Tolerance(2e-5, 0))
    assert not finding.passed
    assert finding.worst_abs == pytest.approx(1e-3, rel=1e-3)
    assert finding.worst_rel == pytest.approx(1e-3, rel=1e-3)


def test_a_relative_tolerance_scales_with_the_golden() -> None:
    golden = torch.tensor([1000.0])
    assert parity.compare("out_a", golden + 0.5, golden, Tolerance(0, 1e-3)).passed
    assert not parity.compare("out_a", golden + 0.5, golden, Tolerance(1e-3, 0)).passed


def test_exact_accepts_only_equal_values_and_nan_only_nan() -> None:
    golden = torch.tensor([1, 2, 3])
    assert parity.compare("out_a", golden, golden, Tolerance(0, 0)).passed
    assert not parity.compare("out_a", golden + 1, golden, Tolerance(0, 0)).passed
    nan = torch.tensor([torch.nan, torch.inf])
    assert parity.compare("out_a", nan, nan, Tolerance(0, 0)).passed
    assert not parity.compare("out_a", nan, torch.zeros(2), Tolerance(1, 1)).passed
    assert not parity.compare("out_a", torch.zeros(2), nan, Tolerance(1, 1)).passed


def test_another_shape_or_a_missing_output_fails() -> None:
    assert not parity.compare("out_a", torch.zeros(2, 1), torch.zeros(2), Tolerance(1, 1)).passed
    case = case_in(FOLDERS[0])
    findings = parity.check(case, lambda _: {})
    assert len(findings) == len(case.outputs)
    assert not any(finding.passed for finding in findings)


def test_the_longest_fitting_pattern_gives_the_tolerance() -> None:
    case = dataclasses.replace(
        case_in(FOLDERS[0]), tolerances=(("out_*", Tolerance(1, 0)), ("out_w*_x0", Tolerance(2, 0)))
    )
    assert case.tolerance_of("out_w3_x0").atol == 2
    assert case.tolerance_of("out_other").atol == 1


def test_the_kind_is_read_from_the_name_and_else_from_the_tensors() -> None:
    assert kind_of({"case": "private/model_dual_40_heads"}) == "model_dual"
    assert kind_of(
        {"case": "x", "tensors": ["out_video_index"], "config": {"run": {"repo": "multitalk"}}}
    ) == ("loop_multitalk")
    with pytest.raises(ValueError, match="no known kind"):
        kind_of({"case": "x", "tensors": ["out_y"]})


def test_kinds_are_recognised_by_their_tensors_alone() -> None:
    for folder in FOLDERS:
        case = case_in(folder)
        assert kind_of({"case": "?", "tensors": case.info["tensors"], "config": case.config}) == case.kind


def test_the_command_reports_each_case_and_fails_on_a_folder_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parity.main([str(tmp_path)]) == 1
    assert "case.json" in capsys.readouterr().err
    assert parity.main([]) == 2


def test_the_reference_s_boxes_are_rows_then_columns() -> None:
    masks_SHW = parity_runners.loop.boxed({"person1": [1, 0, 3, 2], "person2": [0, 3, 4, 5]}, 4, 5)
    assert masks_SHW.shape == (2, 4, 5)
    assert masks_SHW[0].nonzero().tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert masks_SHW[1].sum(dim=1).tolist() == [2, 2, 2, 2]


def test_frames_past_the_end_of_the_first_voice_can_be_compared() -> None:
    index = parity_runners.loop.video_index(plan_windows(15, 9, 5))
    assert index.shape == (9 + 2 * 4, 2)
    assert index[9].tolist() == [1, 5]


def test_folders_of_shared_weights_are_no_cases(capsys: pytest.CaptureFixture[str]) -> None:
    shared, case = PUBLIC_CASES / "shared_vae", PUBLIC_CASES / "timesteps"
    assert parity.main([str(shared), str(case)]) == 0
    assert capsys.readouterr().out.endswith("1 of 1 cases passed\n")
