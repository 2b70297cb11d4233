"""Each backend's arithmetic and manners, with packages that compute in plain torch what theirs would.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import math
from typing import Protocol

import pytest
import torch
from evertalk_pack.attention import flash2, flash3, flash4, kitchen, sage, sage3, sdpa
from evertalk_pack.attention.backend import Backend

NHD = """
import torch
def {name}(q, k, v, {options}):
    {first}
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    return {result}
"""
SAGE_1 = NHD.format(
    name="sageattn",
    options="tensor_layout='HND', is_causal=False, sm_scale=None, smooth_k=True",
    first="assert tensor_layout == 'NHD'; k -= k.mean(dim=1, keepdim=True) if smooth_k else 0",
    result="out",
)
SAGE_2 = NHD.format(
    name="sageattn",
    options="tensor_layout='HND', is_causal=False, **kwargs",
    first="assert tensor_layout == 'NHD' and not kwargs",
    result="out",
)
SAGE_3 = """
import torch
def sageattn3_blackwell(q, k, v, attn_mask=None, is_causal=False, per_block_mean=True):
    k -= k.mean(dim=-2, keepdim=True)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)
"""
KITCHEN = """
import torch
def int8_attention(q, k, v, *, scale=None, attn_mask=None):
    assert scale is None and attn_mask is None
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)
"""
FLASH = {"name": "flash_attn_func", "options": "causal=False", "first": "assert not causal"}
FLASH_OUT = NHD.format(**FLASH, result="out")
FLASH_PAIR = NHD.format(**FLASH, result="out, None")
CASES = [
    pytest.param(flash2.BACKEND, "flash_attn", FLASH_OUT, id="flash2"),
    pytest.param(flash3.BACKEND, "flash_attn_interface", FLASH_OUT, id="flash3"),
    pytest.param(flash3.BACKEND, "flash_attn_interface", FLASH_PAIR, id="flash3-pair"),
    pytest.param(flash3.BACKEND, "fa3_fwd_interface", FLASH_OUT, id="flash3-from-the-index"),
    pytest.param(flash4.BACKEND, "flash_attn.cute", FLASH_OUT, id="flash4"),
    pytest.param(flash4.BACKEND, "flash_attn.cute", FLASH_PAIR, id="flash4-pair"),
    pytest.param(sage.BACKEND, "sageattention", SAGE_1, id="sage1"),
    pytest.param(sage.BACKEND, "sageattention", SAGE_2, id="sage2"),
    pytest.param(kitchen.BACKEND, "comfy_kitchen", KITCHEN, id="kitchen"),
    pytest.param(sage3.BACKEND, "sageattn3", SAGE_3, id="sage3"),
    pytest.param(sage3.FP4_BACKEND, "sageattn3", SAGE_3, id="sage3-fp4"),
]


class Machine(Protocol):
    def install(self, module: str, source: str) -> None: ...


def make_qkv(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(11)
    q_BQHD = torch.randn(2, 7, 3, 16, generator=generator).to(dtype)
    k_BKHD, v_BKHD = (torch.randn(2, 5, 3, 16, generator=generator).to(dtype) for _ in range(2))
    return q_BQHD, k_BKHD, v_BKHD


def reference(q_BQHD: torch.Tensor, k_BKHD: torch.Tensor, v_BKHD: torch.Tensor) -> torch.Tensor:
    """The definition, in float64."""
    q, k, v = q_BQHD.double(), k_BKHD.double(), v_BKHD.double()
    weights_BHQK = torch.softmax(torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1]), dim=-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights_BHQK, v)


def test_sdpa_equals_the_definition_in_float64() -> None:
    qkv = make_qkv()
    torch.testing.assert_close(sdpa.attend(*qkv), reference(*qkv).float())


def test_sdpa_keeps_the_query_s_dtype() -> None:
    assert sdpa.attend(*make_qkv(torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(("backend", "module", "source"), CASES)
def test_kernels_get_and_give_the_axes_in_order(
    packages: Machine, backend: Backend, module: str, source: str
) -> None:
    packages.install(module, source)
    assert backend.why_missing() is None
    qkv = make_qkv()
    torch.testing.assert_close(backend.attention(*qkv), reference(*qkv).float())


@pytest.mark.parametrize(("backend", "module", "source"), CASES)
def test_the_caller_s_tensors_are_left_as_they_were(
    packages: Machine, backend: Backend, module: str, source: str
) -> None:
    packages.install(module, source)
    assert backend.why_missing() is None
    qkv = make_qkv()
    before = [x.clone() for x in qkv]
    backend.attention(*qkv)
    for x, y in zip(qkv, before, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize(("backend", "module", "source"), CASES)
def test_a_compiled_caller_is_one_graph(
    packages: Machine, backend: Backend, module: str, source: str
) -> None:
    packages.install(module, source)
    assert backend.why_missing() is None

    def block(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return backend.attention(q * 2, k, v).flatten(2) + 1

    qkv = make_qkv()
    torch.compiler.reset()
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*qkv), block(*qkv))


def test_strided_inputs_give_the_same_as_contiguous_ones(packages: Machine) -> None:
    packages.install("sageattention", SAGE_1)
    q, k, v = make_qkv()
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    out = sage.BACKEND.attention(*strided)
    torch.testing.assert_close(out, sage.BACKEND.attention(q, k, v))
    assert out.is_contiguous()
