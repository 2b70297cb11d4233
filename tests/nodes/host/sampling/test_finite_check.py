"""A first step without numbers is found out, on a GPU without waiting for it."""

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

WORD = "the first step gave NaN or infinite values"


class Event:
    """A GPU's event that comes to pass when it is told to."""

    def __init__(self) -> None:
        self.is_past = False

    def query(self) -> bool:
        return self.is_past

    def synchronize(self) -> None:
        self.is_past = True


def on_gpu(first: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Event]:
    """A check that was shown a first prediction which the GPU is still working at."""
    from evertalk_pack.nodes.host.sampling.finite_check import FiniteCheck

    check, event = FiniteCheck(), Event()

    def begin(is_finite: torch.Tensor) -> None:
        monkeypatch.setattr(check, "_answer", is_finite)
        monkeypatch.setattr(check, "_is_there", event)

    monkeypatch.setattr(check, "_begin", begin)
    check.look(first)
    return check, event


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_it_is_told_at_once_where_nothing_is_to_be_waited_for(wrong: float) -> None:
    from evertalk_pack.nodes.host.model.backend import NotFiniteError
    from evertalk_pack.nodes.host.sampling.finite_check import FiniteCheck

    with pytest.raises(NotFiniteError, match=WORD):
        FiniteCheck().look(torch.tensor([1.0, wrong]))
    check = FiniteCheck()
    check.look(torch.ones(2))
    check.look(torch.tensor([wrong]))  # of later ones only the moment counts
    check.settle()


def test_on_a_gpu_it_is_told_when_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.model.backend import NotFiniteError

    check, event = on_gpu(torch.tensor([float("nan")]), monkeypatch)
    check.look(torch.ones(1))
    assert not event.is_past, "nobody waited"
    event.is_past = True
    with pytest.raises(NotFiniteError, match=WORD):
        check.look(torch.ones(1))


def test_at_the_end_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from evertalk_pack.nodes.host.model.backend import NotFiniteError

    check, event = on_gpu(torch.tensor([float("nan")]), monkeypatch)
    with pytest.raises(NotFiniteError, match=WORD):
        check.settle()
    assert event.is_past
    good, _ = on_gpu(torch.ones(1), monkeypatch)
    good.settle()
    good.settle()
