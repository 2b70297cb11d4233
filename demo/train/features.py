"""Encodes voices once for training: features as bytes, and the law of their mouths.

    python demo/train/features.py --voices voices.pt --encoder speech.safetensors --out features.pt

Shape letters: V voices, T frames of a track, L encoder layers, C channels.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

TAIL = 12
"""Silent frames kept after a track."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Encoded voices.

    Attributes:
        bytes_VTC: features of all layers side by side, -127..127.
        scale_C: what a unit of each is worth.
        law_VT2: opening and narrowness.
    """

    bytes_VTC: torch.Tensor
    scale_C: torch.Tensor
    law_VT2: torch.Tensor

    def to(self, device: torch.device) -> "Bank":
        """The same bank elsewhere."""
        return Bank(self.bytes_VTC.to(device), self.scale_C.to(device), self.law_VT2.to(device))

    def windows(
        self, voice_N: torch.Tensor, start_N: torch.Tensor, frames: int, layers: int = 2
    ) -> torch.Tensor:
        """What the projector sees, (N, frames, 5, L, C): each frame with two before and two after it."""
        device = self.bytes_VTC.device
        reach = torch.arange(-2, 3, device=device)
        places = start_N[:, None, None] + torch.arange(frames, device=device)[:, None] + reach
        places = places.clamp(0, self.bytes_VTC.shape[1] - 1)
        features = self.bytes_VTC[voice_N[:, None, None], places].float() * self.scale_C
        return features.unflatten(-1, (layers, -1))


def load_bank(path: Path, name: str) -> Bank:
    """The bank `name` ("train" or "held") of a file that main() wrote."""
    content = torch.load(path)
    return Bank(content[name], content["scale"], content[f"{name}_law"].float())


def main() -> None:
    """Encode and write."""
    import pack  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]
    from evertalk_pack.multitalk.speech.checkpoint import speech_encoder_from  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415
    from speech import encode_track  # noqa: PLC0415

    parser = argparse.ArgumentParser(description="Encode voices for training.")
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    encoder = speech_encoder_from(load_file(chosen.encoder), chosen.encoder.name)
    voices = torch.load(chosen.voices)
    content: dict[str, torch.Tensor] = {}
    for name in ("train", "held"):
        rows: list[torch.Tensor] = []
        laws: list[torch.Tensor] = []
        for track_T in voices[name]:
            with torch.no_grad():
                states_NLC, law_N2 = encode_track(encoder, track_T)
            kept = len(track_T) // 640 + TAIL
            rows.append(states_NLC[:kept].flatten(1))
            laws.append(law_N2[:kept])
        states_VTC = torch.stack(rows)
        if "scale" not in content:
            content["scale"] = (
                states_VTC.abs().flatten(0, 1).quantile(0.999, dim=0) / 127
                if states_VTC.numel() < 1e7
                else states_VTC[::16].abs().flatten(0, 1).amax(dim=0) / 127
            )
        content[name] = (states_VTC / content["scale"]).round().clamp(-127, 127).to(torch.int8)
        content[f"{name}_law"] = torch.stack(laws).half()
    torch.save(content, chosen.out)


if __name__ == "__main__":
    main()
