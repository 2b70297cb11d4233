"""attention_budget in runs of the tiny models: what is said, what is refused, and going on after a stop."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evertalk_pack.attention.sdpa import attend
from evertalk_pack.multitalk.common.errors import InputError
from tiny_host import TinyFiles, conditioning, load_model, picture, speech, widgets

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from evertalk_pack.nodes.host.report.record import RunRecord
    from evertalk_pack.nodes.host.run.plan import RunPlan
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

pytestmark = pytest.mark.host

FRAMES = {"window_frames": 33, "width": 64, "height": 64}
"""Windows of 144 tokens: more than the two blocks from which on sparse attention runs on a CPU."""
THREE_WINDOWS = 33 + 2 * 28


def with_budget(model: "ModelPatcher", percent: float, attention_mode: str = "sdpa") -> "ModelPatcher":
    from evertalk_pack.nodes.host.model.patcher import KEY, attachment_of

    patched = model.clone()
    changed = replace(attachment_of(model), attention_budget=percent, attention_mode=attention_mode)
    patched.set_attachments(KEY, changed)
    return patched


def job(
    tiny: TinyFiles, vae: Any, model: "ModelPatcher", frames: int = THREE_WINDOWS, **changed: Any
) -> "tuple[RunPlan, RunModels]":
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets
    from evertalk_pack.nodes.host.sampling.clip_vision import FixedClipVision
    from evertalk_pack.nodes.host.sampling.comfy_backend import RunModels

    asked = SamplerWidgets.of(widgets(**{**FRAMES, **changed}))
    plan = plan_run(PlanInputs(asked, speech(tiny, frames), picture(64, 64), has_negative=True))
    prompt = conditioning(0)
    return plan, RunModels(model, vae, lambda _window: prompt, conditioning(1), FixedClipVision(None))


def played(
    tiny: TinyFiles, vae: Any, model: "ModelPatcher", frames: int = THREE_WINDOWS
) -> "tuple[torch.Tensor, RunRecord]":
    """The last window's latents, and what was noted."""
    from evertalk_pack.nodes.host.report.record import recording
    from evertalk_pack.nodes.host.run.windowed_run import check_models, run_windows

    with recording() as record:
        plan, run_models = job(tiny, vae, model, frames)
        return run_windows(plan, run_models, check_models(plan, run_models)).latents_BCTHW, record


def test_later_windows_run_sparse_within_the_budget_and_it_is_said(
    tiny: TinyFiles, vae: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    model = load_model(tiny)
    exact, plain = played(tiny, vae, model)
    sparse, record = played(tiny, vae, with_budget(model, 5.0))
    assert plain.budget is None
    report = record.budget
    assert report is not None
    assert (report.percent, report.kernel) == (5.0, "block-sparse in plain torch")
    assert 0 < report.sparse_heads <= 1
    assert 0 < report.mean_error <= report.worst_error <= 0.05
    assert report.saved_s is not None
    assert 0 < float((sparse - exact).norm() / exact.norm()) <= 0.05
    assert record.warnings == []
    assert "attention sdpa, sparse within 5 % (block-sparse in plain torch) (asked: sdpa)" in caplog.text
    said = f"attention_budget 5 %: {report.sparse_heads:.0%} of self-attention's heads run sparse"
    assert said in caplog.text


def test_a_run_of_one_window_is_exact_and_says_why(tiny: TinyFiles, vae: Any) -> None:
    model = load_model(tiny)
    exact, _ = played(tiny, vae, model, 9)
    latents, record = played(tiny, vae, with_budget(model, 5.0), 9)
    assert latents.equal(exact)
    assert record.warnings == [
        "attention_budget 5 % is without effect: a run of one window computes it exactly, since the first "
        "window finds out what may be sparse"
    ]


@pytest.mark.parametrize("attention_mode", ["comfy", "auto"])
def test_a_budget_for_an_attention_of_the_host_s_is_refused(
    tiny: TinyFiles, vae: Any, attention_mode: str
) -> None:
    model = with_budget(load_model(tiny), 2.0, attention_mode)
    if attention_mode == "auto":  # where a node put an attention on the MODEL
        model.model_options["transformer_options"]["optimized_attention_override"] = torch.add
    expected = rf"attention_budget: 2 % is chosen, and with attention_mode {attention_mode} ComfyUI's own"
    with pytest.raises(InputError, match=expected):
        played(tiny, vae, model)


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tiny: TinyFiles, vae: Any, tmp_path: Path) -> None:
    from evertalk_pack.multitalk.common.safe_path import checked_prefix
    from evertalk_pack.multitalk.runs.folder import RunPlace
    from evertalk_pack.multitalk.runs.identity import Resume
    from evertalk_pack.nodes.host.run.job import OutputOptions
    from evertalk_pack.nodes.host.run.windowed_run import saved_run

    model = with_budget(load_model(tiny), 5.0)

    def video(root: Path, pause_after: int) -> bytes:
        root.mkdir(exist_ok=True)
        prefix = checked_prefix("run", root)
        options = OutputOptions(RunPlace(root, prefix, prefix), Resume.AUTO, {}, pause_after)
        return Path(saved_run(*job(tiny, vae, model), options)["output_path"]).read_bytes()

    whole = video(tmp_path / "whole", 0)
    assert video(tmp_path / "paused", 1) != whole, "of one window"
    assert video(tmp_path / "paused", 1) != whole, "of two"
    assert video(tmp_path / "paused", 0) == whole
    assert video(tmp_path / "whole", 0) == whole


def test_a_budget_makes_another_run_and_none_the_same_as_ever(tiny: TinyFiles, vae: Any) -> None:
    from evertalk_pack.nodes.host.run.run_identity import identity_of

    model = load_model(tiny)
    cards = [identity_of(*job(tiny, vae, with_budget(model, percent))) for percent in (0.0, 1.0, 2.0)]
    own = identity_of(*job(tiny, vae, model))
    assert len({card.fingerprint for card in cards}) == 3
    assert own.fingerprint == cards[0].fingerprint
    assert "attention budget" not in own.settings
    assert cards[2].settings["attention budget"] == "2 %"


def test_an_attention_that_gives_no_numbers_is_left_while_a_budget_holds(tiny: TinyFiles, vae: Any) -> None:
    from evertalk_pack.attention.choice import AttentionChoice
    from evertalk_pack.nodes.host.model.backend import backend_for
    from evertalk_pack.nodes.host.run import windowed_run

    model = with_budget(load_model(tiny), 5.0)
    expected, _ = played(tiny, vae, model)

    def nan(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
        return torch.nan * attend(q_BQHD, k_BKHD, v_BKHD)

    def failing(*asked: Any) -> Any:
        return replace(backend_for(*asked), choice=AttentionChoice("sdpa", "sageattn", nan, exact=False))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowed_run, "backend_for", failing)
        latents, record = played(tiny, vae, model)
    assert record.attention == "sdpa"
    assert latents.equal(expected), "the window was begun again, and so was what it finds out"
