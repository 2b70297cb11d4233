"""Runs golden cases through the pack: `python tests/parity.py CASE_DIR [CASE_DIR...]`.

Prints for each output the worst absolute and relative error beside the tolerance of the case; exits non-zero
if an output is above its tolerance or could not be compared.
"""

import importlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch

SUPPORT = str(Path(__file__).resolve().parent / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)
importlib.import_module("load_pack")  # the runners import the pack as evertalk_pack

import parity_runners.audio  # noqa: E402
import parity_runners.colour  # noqa: E402
import parity_runners.guidance  # noqa: E402
import parity_runners.loop  # noqa: E402
import parity_runners.model  # noqa: E402
import parity_runners.schedule  # noqa: E402
import parity_runners.skyreels  # noqa: E402
import parity_runners.step_cache  # noqa: E402
import parity_runners.vae  # noqa: E402
from parity_case import PUBLIC_CASES, Case, Runner, Tolerance, load_case  # noqa: E402
from parity_kinds import kind_of  # noqa: E402

TOPICS = (
    parity_runners.audio,
    parity_runners.colour,
    parity_runners.guidance,
    parity_runners.loop,
    parity_runners.model,
    parity_runners.schedule,
    parity_runners.skyreels,
    parity_runners.step_cache,
    parity_runners.vae,
)
"""Every module of parity_runners/ is listed by hand."""

RUNNERS: dict[str, Runner] = {kind: run for topic in TOPICS for kind, run in topic.RUNNERS.items()}
"""How each kind of case is run."""

GIVEN: dict[str, dict[str, str]] = dict.fromkeys(
    (*parity_runners.loop.RUNNERS, *parity_runners.skyreels.RUNNERS), parity_runners.loop.GIVEN
)
"""Outputs of the reference that a run is given instead of computing them, by kind: pattern -> why."""


@dataclass(frozen=True)
class Finding:
    """One output beside its golden.

    Attributes:
        output: its golden name.
        tolerance: what the case allows.
        worst_abs: the largest absolute error; infinite where one side is not finite and the other is.
        worst_rel: the largest error relative to its golden value, over golden values that are not 0.
        used: the largest error as a share of what is allowed; above 1 fails.
        problem: why it could not be compared, or "".
    """

    output: str
    tolerance: Tolerance
    worst_abs: float = 0.0
    worst_rel: float = 0.0
    used: float = 0.0
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was compared and lies within the tolerance."""
        return not self.problem and self.used <= 1

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        if self.problem:
            return f"  {verdict} {self.output:36s} {self.problem}"
        errors = f"abs {self.worst_abs:9.3e}  rel {self.worst_rel:9.3e}"
        return f"  {verdict} {self.output:36s} {errors}  {self.tolerance} (used {self.used:.1%})"


def compare(output: str, computed: torch.Tensor, golden: torch.Tensor, tolerance: Tolerance) -> Finding:
    """Measures one output; a shape that differs is a problem, equal NaNs and infinities are no error."""
    if computed.shape != golden.shape:
        problem = f"computed {tuple(computed.shape)}, the golden is {tuple(golden.shape)}"
        return Finding(output, tolerance, problem=problem)
    ours, theirs = computed.detach().cpu().double().flatten(), golden.double().flatten()
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    error = torch.where(same, torch.zeros_like(ours), (ours - theirs).abs().nan_to_num(torch.inf, torch.inf))
    size = theirs.abs().nan_to_num(0, 0)
    allowed = tolerance.atol + tolerance.rtol * size
    used = torch.where(
        same, torch.zeros_like(error), error / allowed
    )  # an error against 0 allowed is infinite
    relative = (error / size)[size > 0]
    return Finding(output, tolerance, largest(error), largest(relative), largest(used))


def given(kind: str, output: str) -> str:
    """Why an output of the reference is an input here and so is not compared, or ""."""
    reasons = GIVEN.get(kind, {})
    return next((reason for pattern, reason in reasons.items() if fnmatchcase(output, pattern)), "")


def largest(values: torch.Tensor) -> float:
    """The maximum, 0 of nothing."""
    return float(values.max()) if values.numel() else 0.0


def check(case: Case, runner: Runner) -> list[Finding]:
    """Runs a case and compares every output that it has."""
    with torch.no_grad():
        computed: Mapping[str, torch.Tensor] = runner(case)
    return [
        compare(name, computed[name], golden, case.tolerance_of(name))
        if name in computed
        else Finding(name, case.tolerance_of(name), problem="the runner does not compute it")
        for name, golden in sorted(case.outputs.items())
        if not given(case.kind, name)
    ]


def report(folder: Path) -> bool:
    """Runs the case in `folder`, prints its findings and tells whether all passed."""
    case = load_case(folder, kind_of)
    print(f"{case.name} ({case.kind})")  # noqa: T201
    if case.kind not in RUNNERS:
        print(f"  FAIL no runner for kind {case.kind!r}; there are: {', '.join(sorted(RUNNERS))}")  # noqa: T201
        return False
    findings = check(case, RUNNERS[case.kind])
    for finding in findings:
        print(finding)  # noqa: T201
    for name in sorted(case.outputs):
        if reason := given(case.kind, name):
            print(f"  --   {name:36s} not compared: {reason}")  # noqa: T201
    return bool(findings) and all(finding.passed for finding in findings)


def holds_weights_alone(folder: Path) -> bool:
    """Whether other cases share what lies in a folder, and it is none itself."""
    return not (folder / "case.json").exists() and any(folder.glob("*.safetensors"))


def main(folders: list[str]) -> int:
    """Reports every case, shared weights are none; 0 if all passed, 1 if one did not, 2 without cases."""
    folders = [folder for folder in folders if not holds_weights_alone(Path(folder))]
    if not folders:
        print(f"usage: python tests/parity.py CASE_DIR [CASE_DIR...]   (public: {PUBLIC_CASES})")  # noqa: T201
        return 2
    failed: list[str] = []
    for folder in folders:
        try:
            passed = report(Path(folder).resolve())
        except Exception:  # noqa: BLE001  # one broken case must not hide the others
            traceback.print_exc()
            passed = False
        if not passed:
            failed.append(folder)
    print(f"{len(folders) - len(failed)} of {len(folders)} cases passed", *failed, sep="\n  failed: ")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
