"""What a device is called and which GPUs count as NVIDIA's."""

import torch
from evertalk_pack.attention.hardware import Hardware, hardware_of


def test_a_cpu_has_no_capability() -> None:
    assert hardware_of(torch.device("cpu")) == Hardware("cpu", "cpu")
    assert str(hardware_of(torch.device("cpu"))) == "cpu"


def test_an_nvidia_gpu_is_named_with_its_architecture() -> None:
    assert str(Hardware("cuda", "NVIDIA B200", (10, 0))) == "NVIDIA B200, sm_100"


def test_only_nvidia_gpus_of_the_given_generations_match() -> None:
    assert Hardware("cuda", "NVIDIA H100", (9, 0)).is_nvidia(range(8, 10))
    assert not Hardware("cuda", "NVIDIA H100", (9, 0)).is_nvidia(range(10, 13))
    assert not Hardware("rocm", "AMD Instinct MI300X").is_nvidia(range(100))
