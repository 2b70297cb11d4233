"""What follows a backend that fails in a run, and the host's own attention."""

import pytest
import torch
from attention_machines import (
    BLACKWELL,
    CPU,
    FP4_LINE,
    SAGE3_LINE,
    Machine,
    choose,
    hnd,
    host,
    logged,
    nhd,
    on,
    starts,
    warnings_in,
)
from evertalk_pack.attention.registry import Resolver, resolve


def test_comfy_is_the_host_s_own_callable() -> None:
    choice = Resolver().resolve("comfy", CPU, torch.bfloat16, 64, host)
    assert (choice.ran, choice.exact, choice.notes) == ("comfy", False, ())
    assert choice.attention is host


def test_comfy_without_a_host_is_sdpa_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    choice = Resolver().resolve("comfy", CPU, torch.bfloat16, 64)
    assert choice.ran == "sdpa"
    assert starts(choice.notes) == ["ComfyUI's attention not available, falling back to sdpa mode"]
    assert warnings_in(caplog) == logged(choice.notes)


def test_a_backend_that_fails_in_a_run_is_followed_by_the_next_and_not_chosen_again(
    packages: Machine,
) -> None:
    packages.install("sageattn3", hnd("sageattn3_blackwell"))
    packages.install("sageattention", nhd("sageattn"))
    resolver = on(BLACKWELL)
    first = choose(resolver, "sageattn_3_fp4")
    reason = "the first step gave NaN or infinite values"
    second = resolver.resolve_next(first, reason, CPU, torch.bfloat16, 64)
    assert second is not None
    assert (second.asked, second.ran) == ("sageattn_3_fp4", "sageattn_3")
    assert second.notes == (
        f"{FP4_LINE}: {reason}. To be rid of this warning, choose auto for the fastest exact one here.",
    )
    third = resolver.resolve_next(second, reason, CPU, torch.bfloat16, 64)
    assert third is not None
    assert (third.ran, starts(third.notes)) == ("sageattn", [FP4_LINE, SAGE3_LINE])
    assert choose(resolver, "sageattn_3_fp4").ran == "sageattn"


def test_the_host_s_attention_that_fails_in_a_run_is_followed_by_sdpa() -> None:
    resolver = Resolver()
    first = resolver.resolve("comfy", CPU, torch.bfloat16, 64, host)
    second = resolver.resolve_next(first, "the first step gave NaN", CPU, torch.bfloat16, 64)
    assert second is not None
    assert (second.asked, second.ran, len(second.notes)) == ("comfy", "sdpa", 1)
    assert resolver.resolve("comfy", CPU, torch.bfloat16, 64, host).ran == "sdpa"


def test_nothing_follows_sdpa() -> None:
    choice = resolve("sdpa", CPU, torch.bfloat16, 64)
    assert Resolver().resolve_next(choice, "NaN", CPU, torch.bfloat16, 64) is None
