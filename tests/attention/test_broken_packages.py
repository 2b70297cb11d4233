"""Every kernel package in every way of being of no use: each is stepped over with its reason."""

from dataclasses import dataclass

import pytest
from attention_machines import (
    ADA,
    BLACKWELL,
    CPU,
    FLASH2_LINE,
    FLASH3_LINE,
    FLASH4_LINE,
    FP4_LINE,
    HOPPER,
    KITCHEN_LINE,
    SAGE3_LINE,
    SAGE_LINE,
    TURING,
    VOLTA,
    Machine,
    choose,
    nhd,
    on,
    starts,
)
from evertalk_pack.attention import sdpa
from evertalk_pack.attention.hardware import Hardware


@dataclass(frozen=True)
class Kernel:
    """A backend's package: where it lies, the function that is called, GPUs that can and cannot run it."""

    backend: str
    module: str
    function: str
    good: Hardware
    wrong: Hardware
    line: str


KERNELS = [
    Kernel("flash_attn_2", "flash_attn", "flash_attn_func", ADA, TURING, FLASH2_LINE),
    Kernel("flash_attn_3", "flash_attn_interface", "flash_attn_func", HOPPER, ADA, FLASH3_LINE),
    Kernel("flash_attn_4", "flash_attn.cute", "flash_attn_func", BLACKWELL, ADA, FLASH4_LINE),
    Kernel("kitchen_int8", "comfy_kitchen", "int8_attention", TURING, VOLTA, KITCHEN_LINE),
    Kernel("sageattn", "sageattention", "sageattn", ADA, TURING, SAGE_LINE),
    Kernel("sageattn_3", "sageattn3", "sageattn3_blackwell", BLACKWELL, TURING, SAGE3_LINE),
    Kernel("sageattn_3_fp4", "sageattn3", "sageattn3_blackwell", BLACKWELL, TURING, FP4_LINE),
]

DEF = "import torch\ndef {function}(q, k, v, *arguments, **options):\n"

WAYS = {
    "import raises": (
        "raise OSError('libcudart.so.11: cannot open')",
        "failed with OSError: libcudart.so.11: cannot open",
    ),
    "kernel raises": (
        f"{DEF}    raise RuntimeError('no kernel image')",
        "its self-test raised RuntimeError: no kernel image",
    ),
    "kernel gives nan": (
        f"{DEF}    return torch.full_like(q, torch.nan)",
        "its self-test failed: its result has NaN or infinite values",
    ),
    "kernel gives infinity in one place": (
        f"{DEF}    out = q.clone()\n    out[..., -1, -1] = torch.inf\n    return out",
        "its self-test failed: its result has NaN or infinite values",
    ),
}


def names_of(kernels: list[Kernel]) -> list[str]:
    return [kernel.backend for kernel in kernels]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernel", KERNELS, ids=names_of(KERNELS))
def test_a_broken_package_is_stepped_over_with_its_reason(
    packages: Machine, kernel: Kernel, way: str
) -> None:
    source, reason = WAYS[way]
    packages.install(kernel.module, source.format(function=kernel.function))
    choice = choose(on(kernel.good), kernel.backend)
    assert (choice.asked, choice.ran) == (kernel.backend, "sdpa")
    assert choice.attention is sdpa.attend
    assert choice.exact
    assert starts(choice.notes)[0] == kernel.line
    assert reason in choice.notes[0]
    assert choice.notes[0].endswith("or choose auto for the fastest exact one here.")


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("kernel", KERNELS, ids=names_of(KERNELS))
def test_an_absent_package_is_stepped_over(kernel: Kernel) -> None:
    choice = choose(on(kernel.good), kernel.backend)
    assert (choice.asked, choice.ran) == (kernel.backend, "sdpa")
    assert starts(choice.notes)[0] == kernel.line
    assert "is not installed. To use it, " in choice.notes[0]


@pytest.mark.parametrize("kernel", KERNELS, ids=names_of(KERNELS))
def test_wrong_hardware_is_named_and_the_package_is_not_even_imported(
    packages: Machine, kernel: Kernel
) -> None:
    packages.install(kernel.module, "raise AssertionError('imported on a GPU that cannot run it')")
    choice = choose(on(kernel.wrong), kernel.backend)
    assert (choice.asked, choice.ran) == (kernel.backend, "sdpa")
    assert starts(choice.notes)[0] == kernel.line
    assert f"this device ({kernel.wrong}) cannot run it. It needs " in choice.notes[0]
    assert "AssertionError" not in " ".join(choice.notes)


@pytest.mark.parametrize("kernel", KERNELS, ids=names_of(KERNELS))
def test_a_broken_package_is_not_what_auto_takes(packages: Machine, kernel: Kernel) -> None:
    packages.install(kernel.module, WAYS["kernel gives nan"][0].format(function=kernel.function))
    import torch

    choice = on(kernel.good).resolve("auto", CPU, torch.bfloat16, 64)
    assert choice.ran != kernel.backend
    assert choice.exact


def test_a_broken_package_is_told_where_its_twin_is_absent_and_stepped_over_where_it_is_there(
    packages: Machine,
) -> None:
    packages.install("fa3_fwd_interface", WAYS["import raises"][0])
    told = choose(on(HOPPER), "flash_attn_3").notes[0]
    assert told.startswith(f"{FLASH3_LINE}: importing fa3_fwd_interface failed with OSError")
    packages.install("flash_attn_interface", nhd("flash_attn_func"))
    assert choose(on(HOPPER), "flash_attn_3").ran == "flash_attn_3"
