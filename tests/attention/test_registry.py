"""Which backend runs for each name, on made-up GPUs with real (if fake) packages on the path."""

import pytest
import torch
from attention_machines import (
    ADA,
    BLACKWELL,
    CPU,
    CUDNN_LINE,
    FLASH2_LINE,
    FLASH3_LINE,
    FLASH4_LINE,
    FP4_LINE,
    HOPPER,
    RAISES,
    SAGE3_LINE,
    SAGE_LINE,
    TURING,
    VOLTA,
    Machine,
    choose,
    hnd,
    logged,
    nhd,
    on,
    starts,
    warnings_in,
)
from evertalk_pack.attention import sdpa
from evertalk_pack.attention.errors import UnknownBackendError
from evertalk_pack.attention.hardware import Hardware
from evertalk_pack.attention.registry import BACKENDS, DESCRIPTION_OF, NAMES, resolve


def test_names_are_offered_in_a_fixed_order_each_with_a_description() -> None:
    assert NAMES == (
        "auto", "comfy", "sdpa", "cudnn", "flash_attn_2", "flash_attn_3", "flash_attn_4",
        "kitchen_int8", "sageattn", "sageattn_3", "sageattn_3_fp4",
    )  # fmt: skip
    assert all(DESCRIPTION_OF[name].endswith(".") for name in NAMES)


def test_only_the_quantised_backends_are_not_exact() -> None:
    assert [b.name for b in BACKENDS if not b.exact] == [
        "kitchen_int8",
        "sageattn",
        "sageattn_3",
        "sageattn_3_fp4",
    ]


def test_an_unknown_name_is_refused_with_the_list_of_names() -> None:
    with pytest.raises(
        UnknownBackendError, match=r"'sageatn' is unknown; choose from auto, comfy, sdpa, .*fp4"
    ):
        resolve("sageatn", CPU, torch.bfloat16, 64)
    assert issubclass(UnknownBackendError, ValueError)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "comfy"])
def test_on_a_cpu_every_name_runs_as_sdpa(name: str) -> None:
    choice = resolve(name, CPU, torch.bfloat16, 64)
    assert (choice.asked, choice.ran, choice.exact) == (name, "sdpa", True)
    assert choice.attention is sdpa.attend


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("name", "hardware", "lines"),
    [
        ("sageattn_3_fp4", BLACKWELL, [FP4_LINE, SAGE3_LINE, SAGE_LINE]),
        ("sageattn_3", BLACKWELL, [SAGE3_LINE, SAGE_LINE]),
        ("sageattn", ADA, [SAGE_LINE]),
        ("flash_attn_4", HOPPER, [FLASH4_LINE, FLASH3_LINE, FLASH2_LINE]),
        ("flash_attn_3", HOPPER, [FLASH3_LINE, FLASH2_LINE]),
        ("flash_attn_2", ADA, [FLASH2_LINE]),
    ],
)
def test_absent_packages_are_stepped_over_with_one_warning_each(
    name: str, hardware: Hardware, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    choice = choose(on(hardware), name)
    assert (choice.asked, choice.ran) == (name, "sdpa")
    assert starts(choice.notes) == lines
    assert warnings_in(caplog) == logged(choice.notes)
    assert all(
        "is not installed. To use it, " in n and n.endswith("or choose auto for the fastest exact one here.")
        for n in choice.notes
    )


@pytest.mark.usefixtures("packages")
def test_the_fp4_warning_reads_as_documented(caplog: pytest.LogCaptureFixture) -> None:
    choose(on(BLACKWELL), "sageattn_3_fp4")
    assert warnings_in(caplog)[0] == (
        "SageAttention3 FP4 not available, falling back to sageattn_3 mode\n"
        "the package sageattn3 is not installed. To use it, build sageattn3 from the folder "
        "sageattention3_blackwell of https://github.com/thu-ml/SageAttention; or choose auto for the fastest "
        "exact one here."
    )


@pytest.mark.usefixtures("packages")
def test_warnings_come_once_a_resolution_and_none_while_running(caplog: pytest.LogCaptureFixture) -> None:
    resolver = on(BLACKWELL)
    choice = choose(resolver, "sageattn_3_fp4")
    x = torch.randn(1, 8, 2, 64, dtype=torch.bfloat16)
    for _ in range(3):
        choice.attention(x, x, x)
    assert starts(warnings_in(caplog)) == [FP4_LINE, SAGE3_LINE, SAGE_LINE]
    choose(resolver, "sageattn_3_fp4")  # the next run says it again
    assert starts(warnings_in(caplog)) == [FP4_LINE, SAGE3_LINE, SAGE_LINE] * 2


def test_a_gpu_that_cannot_run_it_is_named_and_nobody_is_told_to_install(packages: Machine) -> None:
    packages.install("sageattn3", hnd("sageattn3_blackwell"))
    packages.install("sageattention", nhd("sageattn"))
    choice = choose(on(ADA), "sageattn_3_fp4")
    assert choice.ran == "sageattn"
    assert starts(choice.notes) == [FP4_LINE, SAGE3_LINE]
    assert all(
        "this device (NVIDIA GeForce RTX 4090, sm_89) cannot run it. It needs an NVIDIA Blackwell GPU" in note
        and "install" not in note.split(":", 1)[1]
        for note in choice.notes
    )


@pytest.mark.parametrize(
    ("name", "module", "function", "hardware", "runs"),
    [
        ("cudnn", "unused", "unused", TURING, "sdpa"),
        ("flash_attn_2", "flash_attn", "flash_attn_func", TURING, "sdpa"),
        ("flash_attn_2", "flash_attn", "flash_attn_func", ADA, "flash_attn_2"),
        ("flash_attn_2", "flash_attn", "flash_attn_func", Hardware("rocm", "AMD Instinct"), "flash_attn_2"),
        ("flash_attn_3", "flash_attn_interface", "flash_attn_func", BLACKWELL, "sdpa"),
        ("flash_attn_3", "flash_attn_interface", "flash_attn_func", HOPPER, "flash_attn_3"),
        ("flash_attn_3", "fa3_fwd_interface", "flash_attn_func", HOPPER, "flash_attn_3"),
        ("flash_attn_4", "flash_attn.cute", "flash_attn_func", ADA, "sdpa"),
        ("flash_attn_4", "flash_attn.cute", "flash_attn_func", BLACKWELL, "flash_attn_4"),
        ("kitchen_int8", "comfy_kitchen", "int8_attention", TURING, "kitchen_int8"),
        ("kitchen_int8", "comfy_kitchen", "int8_attention", VOLTA, "sdpa"),
        ("kitchen_int8", "comfy_kitchen", "int8_attention", HOPPER, "kitchen_int8"),
        ("sageattn", "sageattention", "sageattn", TURING, "sdpa"),
        ("sageattn", "sageattention", "sageattn", HOPPER, "sageattn"),
        ("sageattn_3", "sageattn3", "sageattn3_blackwell", HOPPER, "sdpa"),
        ("sageattn_3", "sageattn3", "sageattn3_blackwell", BLACKWELL, "sageattn_3"),
        ("sageattn_3_fp4", "sageattn3", "sageattn3_blackwell", BLACKWELL, "sageattn_3_fp4"),
    ],
)
def test_a_good_package_runs_where_the_gpu_can(
    packages: Machine, name: str, module: str, function: str, hardware: Hardware, runs: str
) -> None:
    takes_heads_first = "3_" in function or function == "int8_attention"
    packages.install(module, hnd(function) if takes_heads_first else nhd(function))
    choice = choose(on(hardware), name)
    assert choice.ran == runs
    assert (choice.notes == ()) is (runs == name)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "raise OSError('libcudart.so.11: cannot open')",
            "failed with OSError: libcudart.so.11: cannot open",
        ),
        ("raise RuntimeError('built for torch 2.3')", "failed with RuntimeError: built for torch 2.3"),
        ("import cutlass_that_is_absent", "failed with ModuleNotFoundError: No module named 'cutlass_that"),
        ("x = 1", "failed with AttributeError: module 'sageattention' has no attribute 'sageattn'"),
    ],
)
def test_a_package_whose_import_fails_is_stepped_over_with_its_error(
    packages: Machine, source: str, reason: str
) -> None:
    packages.install("sageattention", source)
    choice = choose(on(ADA), "sageattn")
    assert choice.ran == "sdpa"
    assert f"importing sageattention {reason}" in choice.notes[0]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (RAISES, "its self-test raised RuntimeError: no kernel image is available for execution. To use it"),
        (
            nhd("sageattn", "float('nan') * out"),
            "self-test failed: its result has NaN or infinite values. To",
        ),
        (
            nhd("sageattn", "0.5 * out"),
            "it differs from PyTorch's attention by 50.0%, where up to 8% is accepted",
        ),
        (
            nhd("sageattn", "out.float()"),
            "it returned (2, 390, 3, 64) torch.float32 for (2, 390, 3, 64) torch.b",
        ),
        (
            nhd("sageattn", "k.clone()"),
            "it returned (2, 520, 3, 64) torch.bfloat16 for (2, 390, 3, 64) torch.b",
        ),
        (nhd("sageattn", "out * v.add_(1).mean()"), "its self-test failed: it changed its own inputs."),
    ],
    ids=["raises", "nan", "wrong", "dtype", "shape", "mutates"],
)
def test_a_kernel_that_fails_its_self_test_is_stepped_over(
    packages: Machine, source: str, reason: str
) -> None:
    packages.install("sageattention", source)
    choice = choose(on(ADA), "sageattn")
    assert choice.ran == "sdpa"
    assert starts(choice.notes) == [SAGE_LINE]
    assert reason in choice.notes[0]
    assert "\n" not in choice.notes[0]


def test_exact_kernels_are_tested_to_a_tighter_bound_than_quantised_ones(packages: Machine) -> None:
    packages.install("sageattention", nhd("sageattn", "1.05 * out"))
    packages.install("flash_attn", nhd("flash_attn_func", "1.05 * out"))
    assert choose(on(ADA), "sageattn").ran == "sageattn"
    assert choose(on(ADA), "flash_attn_2").ran == "sdpa"


def test_cudnn_that_refuses_falls_back_to_sdpa() -> None:
    choice = choose(on(HOPPER), "cudnn")  # the tensors are on the CPU, where torch has no cuDNN
    assert (choice.ran, starts(choice.notes)) == ("sdpa", [CUDNN_LINE])


@pytest.mark.parametrize("name", ["cudnn", "flash_attn_2", "flash_attn_3", "flash_attn_4", "sageattn"])
def test_float32_tensors_are_left_to_sdpa(packages: Machine, name: str) -> None:
    packages.install("sageattention", nhd("sageattn"))
    choice = choose(on(HOPPER), name, torch.float32)
    assert choice.ran == "sdpa"
    assert (
        "it takes float16 and bfloat16, and this run has float32. Choose one of these for compute"
        in choice.notes[0]
    )


def test_a_head_dimension_past_the_kernel_s_is_left_to_sdpa(packages: Machine) -> None:
    packages.install("sageattention", nhd("sageattn"))
    choice = on(ADA).resolve("sageattn", CPU, torch.bfloat16, 256)
    assert choice.ran == "sdpa"
    assert "it takes head dimensions up to 128, and this model has 256." in choice.notes[0]


def test_probes_are_made_once_for_each_dtype_and_head_dimension(packages: Machine) -> None:
    packages.install("sageattn3", hnd("sageattn3_blackwell"))
    resolver = on(BLACKWELL)
    choose(resolver, "sageattn_3")
    from sageattn3 import CALLS  # pyright: ignore[reportMissingImports]

    first = len(CALLS)
    choose(resolver, "sageattn_3")
    assert len(CALLS) == first
    choose(resolver, "sageattn_3", torch.float16)
    assert len(CALLS) == 2 * first > 0


def test_fp4_and_its_fallback_differ_in_how_queries_are_centred(packages: Machine) -> None:
    packages.install("sageattn3", hnd("sageattn3_blackwell"))
    for name, per_block_mean in (("sageattn_3_fp4", True), ("sageattn_3", False)):
        choose(on(BLACKWELL), name)
        from sageattn3 import CALLS  # pyright: ignore[reportMissingImports]

        assert CALLS
        assert all(call == {"per_block_mean": per_block_mean} for call in CALLS)
        CALLS.clear()


def test_fp4_missing_runs_sageattn_3_where_the_early_package_is(packages: Machine) -> None:
    packages.install("sageattn", hnd("sageattn_blackwell"))
    choice = choose(on(BLACKWELL), "sageattn_3_fp4")
    assert (choice.asked, choice.ran, choice.exact) == ("sageattn_3_fp4", "sageattn_3", False)
    assert starts(choice.notes) == [FP4_LINE]


def test_auto_on_a_cpu_is_sdpa_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    choice = resolve("auto", CPU, torch.float32, 64)
    assert (choice.asked, choice.ran, choice.notes) == ("auto", "sdpa", ())
    assert warnings_in(caplog) == []
