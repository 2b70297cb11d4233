"""What a backend may ask about the device it would run on, as a value that a test can make up."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Hardware:
    """One device: what runs on it and how to name it to a person.

    `kind` is "cuda" for NVIDIA GPUs, "rocm" for AMD GPUs under ROCm (which torch also calls cuda), else
    torch's own word: "cpu", "mps", "xpu". `capability` is NVIDIA's compute capability, None for every other
    kind.
    """

    kind: str
    name: str
    capability: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.capability is None:
            return self.name
        major, minor = self.capability
        return f"{self.name}, sm_{major}{minor}"

    def is_nvidia(self, majors: range) -> bool:
        """Whether this is an NVIDIA GPU with a compute capability whose first number is among `majors`."""
        return self.kind == "cuda" and self.capability is not None and self.capability[0] in majors


def hardware_of(device: torch.device) -> Hardware:
    """Ask torch what `device` is."""
    if device.type != "cuda":
        return Hardware(device.type, device.type)
    name = torch.cuda.get_device_name(device)
    if torch.version.hip is not None:
        return Hardware("rocm", name)
    return Hardware("cuda", name, torch.cuda.get_device_capability(device))
