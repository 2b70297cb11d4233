"""Trains the tiny speech encoder: its hidden states tell how the mouth of who speaks stands.

    python demo/train/speech.py --voices voices.pt --out speech.safetensors

Two layers of a wav2vec2 in the base style, regressed through a linear probe that is thrown away. Attention
gives
nothing (its output projection is zero): so the features of a frame do not depend on how long the track is.

Shape letters: T samples, N frames of a track with its silent tail, L encoder layers, C channels.
"""

# Weights are reached by name through torch modules, whose attributes have no types.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportUnusedImport=false

import argparse
import time
from pathlib import Path

import pack  # noqa: F401  # makes evertalk_pack importable
import torch
from evertalk_pack.multitalk.common.types import TAIL_FRAMES, Waveform
from evertalk_pack.multitalk.speech.config import SpeechEncoderConfig
from evertalk_pack.multitalk.speech.encoder import SpeechEncoder
from evertalk_pack.multitalk.speech.waveform import with_silent_tail
from safetensors.torch import save_file
from torch import nn
from world.mouth import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, mouth_law

CONFIG = SpeechEncoderConfig(
    conv_channels=(32,) * 7,
    conv_kernels=(10, 3, 3, 3, 3, 2, 2),
    conv_bias=False,
    feature_norm="group",
    stable_layer_norm=False,
    dim=128,
    ffn_dim=256,
    num_layers=2,
    num_heads=2,
    position_kernel=16,
    position_groups=16,
    normalise_input=False,
)
BATCH = 3
LEARNING_RATE = 2e-3


def new_encoder() -> SpeechEncoder:
    """An untrained encoder whose attention adds nothing."""
    encoder = SpeechEncoder(CONFIG)
    for layer in encoder.encoder.layers:
        for value in layer.attention.out_proj.parameters():  # pyright: ignore[reportUnknownVariableType]
            value.requires_grad_(requires_grad=False).zero_()
    for convolution in encoder.feature_extractor.conv_layers:
        nn.init.kaiming_normal_(convolution.conv.weight)  # pyright: ignore[reportArgumentType]
    return encoder


def encode_track(encoder: SpeechEncoder, samples_T: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states (N, L, C) of a track with its silent tail, and its mouth (N, 2): opening, narrowness."""
    frames = len(samples_T) // SAMPLES_PER_FRAME
    sound_T = samples_T[: frames * SAMPLES_PER_FRAME].float()
    speech = with_silent_tail(Waveform(sound_T[None], SAMPLE_RATE_HZ), frames)
    states_NLC = encoder(speech.samples_CT[0], frames + TAIL_FRAMES, len(sound_T))
    law = mouth_law(speech.samples_CT[0], frames + TAIL_FRAMES, len(sound_T))
    return states_NLC, torch.stack([law.opening_F, law.narrow_F], dim=1)


def train(voices: list[torch.Tensor], minutes: float) -> SpeechEncoder:
    """Regress the law for some minutes."""
    encoder, probe = new_encoder(), nn.Linear(CONFIG.num_layers * CONFIG.dim, 2)
    parameters = [p for p in (*encoder.parameters(), *probe.parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(1)
    start_s, step, errors = time.monotonic(), 0, [1.0]
    while (done := (time.monotonic() - start_s) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / 50) * (1 - done)
        loss = torch.zeros(())
        for index in torch.randint(len(voices), (BATCH,), generator=generator).tolist():
            gain = 10 ** float(torch.empty(()).uniform_(-1, 0.3, generator=generator))
            states_NLC, law_N2 = encode_track(encoder, gain * voices[index].float())
            error_N2 = probe(states_NLC.flatten(1)) - law_N2
            loss = loss + error_N2.square().mean() / BATCH
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        errors.append(loss.item() ** 0.5)
        if step % 100 == 0:
            print(f"step {step}, error {sum(errors[-100:]) / len(errors[-100:]):.4f}", flush=True)
        step += 1
    print(f"{step} steps, error {sum(errors[-200:]) / 200:.4f}", flush=True)
    return encoder.eval()


def main() -> None:
    """Read the voices, train, write the encoder."""
    parser = argparse.ArgumentParser(description="Train the tiny speech encoder.")
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    encoder = train(torch.load(chosen.voices)["train"], chosen.minutes)
    save_file(
        {name: value.detach().half().contiguous() for name, value in encoder.state_dict().items()}, chosen.out
    )


if __name__ == "__main__":
    main()
