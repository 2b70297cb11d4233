"""The choice among measured times."""

import math

import pytest
import torch
from evertalk_pack.attention import half_precisions, registry
from evertalk_pack.attention.backend import Backend
from evertalk_pack.attention.choice import AttentionSpec
from evertalk_pack.attention.protocol import Attention
from evertalk_pack.attention.registry import BACKEND_OF
from evertalk_pack.attention.speed import pick_fastest

SPEC = AttentionSpec(torch.device("cuda", 0), torch.bfloat16, 128)


@pytest.mark.parametrize(
    ("cudnn_ms", "expected"), [(10.0, "sdpa"), (9.8, "sdpa"), (9.6, "cudnn"), (11.0, "sdpa")]
)
def test_an_earlier_name_keeps_its_place_unless_beaten_by_over_three_percent(
    cudnn_ms: float, expected: str
) -> None:
    assert pick_fastest([("sdpa", 10.0), ("cudnn", cudnn_ms)]) == expected


def test_each_name_must_beat_the_best_before_it() -> None:
    assert (
        pick_fastest([("sdpa", 10.0), ("cudnn", 9.0), ("flash_attn_2", 8.9), ("flash_attn_3", 7.0)])
        == "flash_attn_3"
    )
    assert pick_fastest([("sdpa", 10.0), ("cudnn", 9.0), ("flash_attn_2", 8.9)]) == "cudnn"


def with_probe(monkeypatch: pytest.MonkeyPatch, times_ms: dict[str, float | None]) -> None:
    """Have the backends of these names run there, each in its time; None fails at the probe's size."""
    backends = tuple(BACKEND_OF[name] for name in times_ms)

    def candidates(_asked: str, _spec: AttentionSpec) -> tuple[Backend, ...]:
        return backends

    def measure_ms(attention: Attention, _spec: AttentionSpec) -> float:
        (name,) = (backend.name for backend in backends if backend.attention is attention)
        if (time_ms := times_ms[name]) is None:
            raise torch.OutOfMemoryError("the probe found no memory")
        return time_ms

    monkeypatch.setattr(half_precisions, "candidates", candidates)
    monkeypatch.setattr(registry, "measure_ms", measure_ms)


@pytest.mark.parametrize(
    ("times_ms", "expected"),
    [
        ({"sdpa": 10.0, "flash_attn_3": 9.8}, ("sdpa", 10.0)),
        ({"sdpa": 10.0, "flash_attn_3": 8.0}, ("flash_attn_3", 8.0)),
        ({"sdpa": 10.0, "flash_attn_3": None}, ("sdpa", 10.0)),
        ({"flash_attn_3": None}, ("sdpa", math.inf)),
    ],
)
def test_a_precision_is_timed_with_the_kernel_that_would_run_in_it(
    monkeypatch: pytest.MonkeyPatch, times_ms: dict[str, float | None], expected: tuple[str, float]
) -> None:
    with_probe(monkeypatch, times_ms)
    assert half_precisions.fastest_of("auto", SPEC) == expected
