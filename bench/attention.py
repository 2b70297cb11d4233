"""Time and error of every attention backend that runs here, a row of JSON each.

    python bench/attention.py                                   on the first CUDA device
    python bench/attention.py --device cpu --scale 64 --runs 1  with all lengths and heads over 64

The shapes are those of an 832x480, 81-frame window. For each shape and backend: ms (the shortest and the
median of the runs), TFLOP/s (from the shortest), and the error |out - reference| / |reference| against
float32 attention, on some of the queries and heads. Backends that cannot run here are listed with the
reason. Needs nothing but torch and the pack's own folder.

Shape letters: B batch, Q queries, K keys, H heads, D head dimension.
"""

import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import digits, emit, emit_setting, parser_of
from timing import timed_ms

pack_alias.name_pack()
from evertalk_pack.attention import sdpa  # noqa: E402 - only importable now
from evertalk_pack.attention.hardware import hardware_of  # noqa: E402
from evertalk_pack.attention.protocol import Attention  # noqa: E402
from evertalk_pack.attention.registry import BACKENDS, Resolver  # noqa: E402
from evertalk_pack.attention.self_test import relative_error  # noqa: E402


@dataclass(frozen=True, slots=True)
class Shape:
    """One attention of the model; `tokens` and `keys` are lengths."""

    name: str
    batch: int
    tokens: int
    keys: int
    heads: int
    head_dim: int

    def over(self, scale: int) -> "Shape":
        """The same with lengths and heads divided by `scale`, at least 32 tokens, 32 keys and 2 heads."""
        return Shape(
            self.name,
            self.batch,
            max(32, self.tokens // scale),
            max(32, self.keys // scale),
            max(2, self.heads // scale),
            self.head_dim,
        )

    def tflop(self) -> float:
        """Two products of 2 flop a term."""
        return 4e-12 * self.batch * self.tokens * self.keys * self.heads * self.head_dim


# 21 latent frames of 30 x 52 tokens; 512 text tokens; 32 audio tokens for each latent frame.
SHAPES = (
    Shape("self", 1, 32760, 32760, 40, 128),
    Shape("text", 1, 32760, 512, 40, 128),
    Shape("audio", 21, 1560, 32, 40, 128),
)


def subset_error(attention: Attention, qkv: list[torch.Tensor]) -> float:
    """Error on every 64th query, first two heads, first two of the batch, all keys."""
    out_BQHD = attention(*qkv)[:2, ::64, :2]
    q_BQHD, k_BKHD, v_BKHD = (x[:2, :, :2].float() for x in qkv)
    return relative_error(out_BQHD, sdpa.attend(q_BQHD[:, ::64], k_BKHD, v_BKHD))


def measure(shape: Shape, device: torch.device, dtype: torch.dtype, runs: int) -> Iterator[dict[str, object]]:
    """One row for each backend."""
    resolver = Resolver()
    generator = torch.Generator(device).manual_seed(0)
    qkv = [
        torch.randn(
            shape.batch, length, shape.heads, shape.head_dim, generator=generator, device=device, dtype=dtype
        )
        for length in (shape.tokens, shape.keys, shape.keys)
    ]
    for backend in BACKENDS:
        row: dict[str, object] = {"shape": shape.name, "backend": backend.name, "exact": backend.exact}
        why_not = resolver.why_not(backend.name, device, dtype, shape.head_dim)
        if why_not is not None:
            yield {**row, "why_not": why_not}
            continue
        times_ms = timed_ms(partial(backend.attention, *qkv), device, runs)
        row["ms"] = round(min(times_ms), 4)
        row["median_ms"] = round(statistics.median(times_ms), 4)
        row["tflop_per_s"] = round(shape.tflop() / min(times_ms) * 1000, 2)
        row["relative_error"] = digits(subset_error(backend.attention, qkv))
        yield row


def main() -> None:
    """Measure what the command line asks for."""
    parser = parser_of(__doc__)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
    parser.add_argument("--scale", default=1, type=int, help="divide lengths and heads by this")
    parser.add_argument("--runs", default=5, type=int)
    arguments = parser.parse_args()
    device: torch.device = arguments.device
    dtype: torch.dtype = getattr(torch, arguments.dtype)
    shapes = [shape.over(arguments.scale) if arguments.scale > 1 else shape for shape in SHAPES]
    emit_setting("attention", arguments, device)
    auto = Resolver().resolve("auto", device, dtype, SHAPES[0].head_dim).ran
    emit({"what": str(hardware_of(device)), "cudnn": torch.backends.cudnn.version(), "auto": auto})
    for shape in shapes:
        emit({"what": "shape", **asdict(shape)})
        for row in measure(shape, device, dtype, arguments.runs):
            emit({"what": "attention", **row})


if __name__ == "__main__":
    with torch.inference_mode():
        main()
