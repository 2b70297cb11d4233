"""Time of the speaker map and of the routing around it, at the real size, as a row of JSON.

    python bench/speaker_map.py                 on the first CUDA device, 832x480, 81 frames
    python bench/speaker_map.py --device cpu    the same code on a small shape

Shape letters: B batch, L video tokens, H heads, D head dimension, M masks, P tokens of a frame.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from rows import emit, emit_setting, parser_of
from timing import timed_ms

RUNS = 10


def time_ms(call: Callable[[], object], device: torch.device) -> float:
    """The median of some calls, in milliseconds."""
    return round(sorted(timed_ms(call, device, RUNS + 1)[1:])[RUNS // 2], 3)


def main() -> None:
    """Measure and print."""
    arguments = parser_of(__doc__).parse_args()
    device: torch.device = arguments.device
    emit_setting("speaker_map", arguments, device)
    pack_alias.name_pack()
    from evertalk_pack.attention.sdpa import attend
    from evertalk_pack.multitalk.model.routing import SpeakerRouter
    from evertalk_pack.multitalk.model.speaker_map import query_positions, speaker_map
    from evertalk_pack.wanvideo.rope import rotate

    is_cuda = device.type == "cuda"
    frames, frame_tokens, heads = (21, 1560, 40) if is_cuda else (3, 64, 2)
    dtype = torch.bfloat16 if is_cuda else torch.float32
    shape = (1, frames * frame_tokens, heads, 128)
    q_BLHD, k_BLHD = (torch.randn(shape, device=device, dtype=dtype) for _ in range(2))
    masks_MP = torch.zeros(3, frame_tokens, device=device, dtype=dtype)
    masks_MP[0, ::3] = masks_MP[1, 1::3] = masks_MP[2, 2::3] = 1
    router = SpeakerRouter(masks_MP, 64, attend)
    with torch.inference_mode():
        map_BML = speaker_map(q_BLHD, k_BLHD[:, :frame_tokens], masks_MP, attend)
        rotations = router(q_BLHD, k_BLHD)
        row = {
            "what": "speaker_map",
            "tokens": shape[1],
            "map_ms": time_ms(
                lambda: speaker_map(q_BLHD, k_BLHD[:, :frame_tokens], masks_MP, attend), device
            ),
            "positions_ms": time_ms(lambda: query_positions(map_BML), device),
            "routing_ms": time_ms(lambda: router(q_BLHD, k_BLHD), device),
            "rotate_queries_ms": time_ms(lambda: rotate(q_BLHD, rotations.query), device),
        }
    emit(row)


if __name__ == "__main__":
    main()
