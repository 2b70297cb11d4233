"""Sparse attention within a budget, on the trained miniature: the budget is kept, the lips stay the same."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from lipsync import measure_sync, openings_px
from talking import (
    BLEND_FRAMES,
    TWO_WINDOWS_S,
    WINDOW_FRAMES,
    Film,
    Troupe,
    load_voice,
    make_film,
    portrait,
)

if TYPE_CHECKING:
    from evertalk_pack.nodes.host.report.budget_report import BudgetReport

pytestmark = pytest.mark.host


def film_of(troupe: Troupe, percent: float) -> "tuple[Film, BudgetReport | None]":
    from evertalk_pack.nodes.host.model.patcher import KEY, attachment_of
    from evertalk_pack.nodes.host.report.record import recording

    model = troupe.model.clone()
    model.set_attachments(KEY, replace(attachment_of(troupe.model), attention_budget=percent))
    with recording() as record:
        film = make_film(replace(troupe, model=model), portrait(77, 1), [load_voice("one", TWO_WINDOWS_S)])
    assert record.warnings == []
    return film, record.budget


def error(film: Film, other: Film) -> float:
    """|difference| / |other| over the whole video."""
    return float((film.frames_FHWC - other.frames_FHWC).norm() / other.frames_FHWC.norm())


def lips(film: Film) -> float:
    """Without the first frame: it is the picture itself."""
    return measure_sync(openings_px(film.frames_FHWC)[1:], film.law_SF[0, 1:]).correlation


def test_the_budget_is_kept_and_the_lips_stay_the_same(troupe: Troupe, alone: Film) -> None:
    film, report = film_of(troupe, 5.0)
    assert report is not None
    assert 0 < report.sparse_heads < 1
    assert 0 < report.mean_error <= report.worst_error <= 0.05
    assert 0 < error(film, alone) <= 0.05
    assert abs(lips(film) - lips(alone)) < 0.01
    first = WINDOW_FRAMES - BLEND_FRAMES
    assert film.frames_FHWC[:first].equal(alone.frames_FHWC[:first]), "the first window is computed exactly"


@pytest.mark.skipif(not os.environ.get("EVERTALK_QUALITY"), reason="a minute long: make quality")
def test_a_budget_that_no_head_keeps_to_gives_the_exact_film(troupe: Troupe, alone: Film) -> None:
    film, report = film_of(troupe, 1.0)
    assert report is not None
    assert report.sparse_heads == 0
    assert "self-attention stays exact" in str(report)
    assert film.frames_FHWC.equal(alone.frames_FHWC)
