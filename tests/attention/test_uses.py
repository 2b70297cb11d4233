"""A kernel that is right over thousands of keys alone runs there, and an exact one elsewhere.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

from dataclasses import replace

import pytest
import torch
from attention_machines import (
    ADA,
    CPU,
    SAGE_LINE,
    Machine,
    choose,
    nhd,
    on,
    starts,
    warnings_in,
)
from evertalk_pack.attention import sage, sdpa
from evertalk_pack.attention.protocol import Attention
from evertalk_pack.attention.self_test import relative_error
from evertalk_pack.attention.uses import LONG_KEYS, by_length

PADDED = """
import torch
def sageattn(q, k, v, tensor_layout="HND", is_causal=False, sm_scale=None, smooth_k=True):
    assert tensor_layout == "NHD"
    k, v = (torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % 64)) for x in (k, v))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
"""
"""As SageAttention 1.0.6: the zeros that fill the last block of 64 keys take part in the softmax."""


def qkv(keys: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(1, n, 2, 64, generator=generator).bfloat16() for n in (48, keys, keys))
    return q, k, v


def error(attention: Attention, keys: int) -> float:
    return relative_error(attention(*qkv(keys)), sdpa.attend(*qkv(keys)))


def test_it_runs_in_self_attention_and_an_exact_one_elsewhere(
    packages: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    packages.install("sageattention", PADDED)
    choice = choose(on(ADA), "sageattn")
    assert error(sage.BACKEND.attention, 32) > 0.3
    assert error(sage.BACKEND.attention, LONG_KEYS + 37) < 0.01
    assert (choice.asked, choice.ran, choice.elsewhere, choice.exact) == (
        "sageattn",
        "sageattn",
        "sdpa",
        False,
    )
    assert (choice.notes, warnings_in(caplog)) == ((), [])
    assert torch.equal(choice.attention(*qkv(32)), sdpa.attend(*qkv(32)))
    assert torch.equal(choice.attention(*qkv(LONG_KEYS - 1)), sdpa.attend(*qkv(LONG_KEYS - 1)))
    ours = choice.attention(*qkv(LONG_KEYS))
    assert torch.equal(ours, sage.BACKEND.attention(*qkv(LONG_KEYS)))
    assert not torch.equal(ours, sdpa.attend(*qkv(LONG_KEYS))), "the kernel itself ran, not PyTorch's"


def test_both_are_said_with_the_reason(packages: Machine) -> None:
    packages.install("sageattention", PADDED)
    choice = choose(on(ADA), "sageattn")
    assert str(choice) == "sageattn in self-attention, sdpa elsewhere"
    assert choice.why_elsewhere.startswith(
        "SageAttention runs in self-attention, for which it is right; attention to text, picture and audio "
        "is sdpa's, since with few keys its self-test failed: it differs from PyTorch's attention by "
    )
    assert "keys)" in choice.why_elsewhere
    assert "install" not in choice.why_elsewhere


def test_where_a_window_has_few_tokens_it_does_not_run_and_the_reason_is_the_size(packages: Machine) -> None:
    packages.install("sageattention", PADDED)
    choice = on(ADA).resolve("sageattn", CPU, torch.bfloat16, 64, tokens=1200)
    assert (choice.ran, choice.elsewhere, starts(choice.notes)) == ("sdpa", "sdpa", [SAGE_LINE])
    assert choice.notes[0].endswith(
        "it is right with 4096 keys or more, and a window of this size has 1200. Choose a larger size, or "
        "choose auto for the fastest exact one here."
    )
    assert "install" not in choice.notes[0]


def test_one_that_is_right_at_every_length_runs_everywhere(packages: Machine) -> None:
    packages.install("sageattention", nhd("sageattn"))
    choice = choose(on(ADA), "sageattn")
    assert (choice.ran, choice.elsewhere, choice.why_elsewhere) == ("sageattn", "sageattn", "")
    assert str(choice) == "sageattn"
    assert choice.attention is sage.BACKEND.attention


def test_one_that_is_wrong_at_thousands_of_keys_does_not_run(packages: Machine) -> None:
    packages.install("sageattention", nhd("sageattn", "out * (2 if k.shape[1] > 4000 else 1)"))
    choice = choose(on(ADA), "sageattn")
    assert choice.ran == "sdpa"
    assert "by 100.0%, where up to 8% is accepted (with 4133 keys)" in choice.notes[0]


def test_an_exact_kernel_that_is_wrong_at_few_keys_is_broken(packages: Machine) -> None:
    packages.install("flash_attn", PADDED.replace("sageattn", "flash_attn_func").replace('"HND"', '"NHD"'))
    assert choose(on(ADA), "flash_attn_2").ran == "sdpa"


def test_after_a_failure_in_a_run_neither_runs_again(packages: Machine) -> None:
    packages.install("sageattention", PADDED)
    resolver = on(ADA)
    failed = choose(resolver, "sageattn")
    after = resolver.resolve_next(failed, "the first step gave NaN", CPU, torch.bfloat16, 64)
    assert after is not None
    assert (after.ran, after.elsewhere, after.attention) == ("sdpa", "sdpa", sdpa.attend)
    assert choose(resolver, "sageattn").ran == "sdpa"


def test_a_choice_by_length_is_the_same_object_in_the_next_run_and_one_graph() -> None:
    def doubled(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return 2 * sdpa.attend(q, k, v)

    chosen = by_length(doubled, sdpa.attend)
    assert by_length(doubled, sdpa.attend) is chosen
    torch.compiler.reset()
    compiled = torch.compile(chosen, fullgraph=True, backend="aot_eager", dynamic=False)
    for keys, factor in ((32, 1), (LONG_KEYS, 2)):
        torch.testing.assert_close(compiled(*qkv(keys)), factor * sdpa.attend(*qkv(keys)))


def test_no_backend_is_both_exact_and_right_for_long_sequences_alone() -> None:
    assert sage.BACKEND.may_be_long_only
    with pytest.raises(AssertionError, match="exact at every length or long only"):
        replace(sage.BACKEND, exact=True)
