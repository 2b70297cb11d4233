"""Speech encoded in chunks beside one pass over the whole track: how far apart are they? JSON; no GPU needed.

    python bench/speech_chunks.py --minutes 60 --dim 64 --layers 4
    python bench/speech_chunks.py --minutes 6 --reach-s 80

The encoder has the style of wav2vec2 base and random weights, but is narrower; the sound is seeded noise in
bursts. Chunks, and the reach of attention unless --reach-s says another, are the pack's own. One pass over an
hour asks for attention of 90,000 frames to as many: hours on two cores at base's 768 channels and 12 layers.
"""

import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import plain_parser

pack_alias.name_pack()
from evertalk_pack.multitalk.common.types import FPS  # noqa: E402
from evertalk_pack.multitalk.speech.chunks import (  # noqa: E402 - only importable now
    REACH_FRAMES,
    EncodeContext,
    encode_in_chunks,
)
from evertalk_pack.multitalk.speech.config import HEAD_DIM  # noqa: E402
from evertalk_pack.multitalk.speech.encoder import SpeechEncoder  # noqa: E402
from evertalk_pack.multitalk.speech.waveform import SAMPLES_PER_FRAME  # noqa: E402
from weight_shapes import speech_config  # noqa: E402

BURST_SAMPLES = 2500
"""A radian of the sine with which the loudness of the noise rises and falls: about once a second."""


def random_encoder(dim: int, num_layers: int) -> SpeechEncoder:
    """An encoder in base's style, `dim` channels wide, whose weights keep the size of what they are given."""
    config = speech_config(dim, 4 * dim, num_layers, max(16, dim * 512 // 768 // 16 * 16))
    encoder = SpeechEncoder(config).eval().requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(7)
    for weight in encoder.parameters():
        if weight.ndim > 1:
            weight.copy_(torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5)
    return encoder


def bursts_of_noise(num_samples: int) -> torch.Tensor:
    """The sound, (samples,)."""
    generator = torch.Generator().manual_seed(3)
    loudness_T = (torch.arange(num_samples) / BURST_SAMPLES).sin().clamp_min(0)
    return 0.1 * loudness_T * torch.randn(num_samples, generator=generator)


def main() -> None:
    """Encode twice, compare, print."""
    parser = plain_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--dim", type=int, default=128, help=f"channels, a multiple of {HEAD_DIM}")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--reach-s", type=float, default=REACH_FRAMES / FPS)
    chosen = parser.parse_args()
    context = EncodeContext(reach_frames=round(chosen.reach_s * FPS))
    frames = round(chosen.minutes * 60 * FPS)
    encoder = random_encoder(chosen.dim, chosen.layers)
    samples_T = bursts_of_noise(frames * SAMPLES_PER_FRAME)
    started_s = time.perf_counter()
    chunks = list(encode_in_chunks(encoder, samples_T, frames, len(samples_T), context))
    chunked_s, started_s = time.perf_counter() - started_s, time.perf_counter()
    with torch.no_grad():
        one_pass_NLC = encoder(samples_T, frames)
    one_pass_s = time.perf_counter() - started_s
    difference_NLC = torch.cat(chunks).sub_(one_pass_NLC)
    report = {
        "arguments": vars(chosen),
        "torch": torch.__version__,
        "frames": frames,
        "chunk_frames": context.chunk_frames,
        "reach_frames": context.reach_frames,
        "relative_difference": float(difference_NLC.norm() / one_pass_NLC.norm()),
        "largest_of_a_layer": float((difference_NLC.norm(dim=(0, 2)) / one_pass_NLC.norm(dim=(0, 2))).max()),
        "largest_of_a_frame": float((difference_NLC.norm(dim=(1, 2)) / one_pass_NLC.norm(dim=(1, 2))).max()),
        "chunked_s": round(chunked_s, 1),
        "one_pass_s": round(one_pass_s, 1),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
