"""One evaluation on several GPUs: times at 1, 2, 4 and 8 ranks, where they go, and what one GPU can tell.

    python bench/parallel.py                         as many ranks as there are GPUs, 832x480, 81 frames
    python bench/parallel.py --ranks 2 4 --weights fp8_e4m3fn_fast --compile
    python bench/parallel.py --device cpu --tiny     two processes on a CPU, gloo in NCCL's place

Rows of every machine: `forward`, the whole on one GPU; `split`, whether ranks that are threads of one GPU
give the same as the whole (a relative difference: rounding); `projection`, the first rank of so many alone,
copies in place of the exchange. A projection is computed, not measured: that rank's seconds, and its bytes at
each of the rates of `--link-gb-s`, as if nothing overlapped and nobody waited. `of`: of what, where it is not
the forward: the decode of the window, the encode of its motion frames.
Rows where there are as many GPUs, or on a CPU: `ranks`, the same forward by processes, the slowest rank's
time, efficiency against one, the peak of each card and what is used of it outside of torch before and after
the first forward, NCCL's buffers among it; `exchange`, the same uncompiled with a barrier before each
exchange, so that waiting and exchange are told apart; `decode` and `encode_motion`, both of these for the
VAE, of whose frames each rank has some rows. `window` and `minute` are sums: forwards, decode and encode of
as many ranks; the minute has no first window's loading or compiling.
"""

import argparse
import math
import os
import socket
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from gpu import forward_inputs
from rank_codec import (
    RankCodec,
    codec_of,
    measure_codec_alone,
    measure_codec_ranks,
    project_codec,
    split_codec,
)
from rows import add_model, add_size, emit, emit_setting, parser_of, size_of
from timing import Clock

ALL_RANKS = (2, 4, 8)
PARTS = ("forward", "vae")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    add_size(parser)
    add_model(parser, runs=3)
    parser.add_argument("--voices", type=int, choices=(1, 2), default=1)
    parser.add_argument("--steps", type=int, default=4, help="forwards of a window")
    parser.add_argument("--ranks", type=int, nargs="+", default=ALL_RANKS)
    parser.add_argument(
        "--link-gb-s",
        type=float,
        nargs="+",
        default=[400.0, 25.0],
        help="rates of a card's link that projections assume, one way: NVLink's, PCI Express's",
    )
    parser.add_argument("--measured", action="store_true", help="without what one GPU alone can tell")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="without the VAE no sums")
    return parser.parse_args()


@dataclass(frozen=True)
class Evaluation:
    """A talking MODEL on its device, and what the host hands its forward.

    Attributes:
        model: on its device.
        forward: the pack's, for one process.
        given: its arguments.
        clock: measures.
    """

    model: Any
    forward: Any
    given: dict[str, Any]
    clock: Clock

    @property
    def heads(self) -> int:
        """Of the transformer."""
        return self.forward.tree.num_heads

    def __call__(self, ranks: Any = None, *, compiled: bool = True) -> torch.Tensor:
        """The prediction, by this process alone or with others."""
        forward = replace(
            self.forward,
            call=replace(self.forward.call, ranks=ranks),
            compile_blocks=compiled and self.forward.compile_blocks,
        )
        options = {**self.given["transformer_options"]}
        return forward(**{**self.given, "transformer_options": options})


def prepared(arguments: argparse.Namespace) -> Evaluation:
    """The model with random weights, the same in each process, and inputs of one evaluation."""
    import comfy.model_management
    import real_size
    from evertalk_pack.multitalk.common.mask_places import default_masks
    from evertalk_pack.multitalk.speakers.masks import make_speaker_masks
    from evertalk_pack.multitalk.windows.loop import WindowVoices
    from evertalk_pack.nodes.host.model.backend import backend_for
    from evertalk_pack.nodes.host.model.patcher import TalkCall, TalkForward, talks_of

    device = arguments.device
    width, height, frames = size_of(arguments)
    torch.manual_seed(0)
    model = real_size.asked_model(arguments, real_size.sizes_of(arguments))
    comfy.model_management.load_models_gpu([model, *model.get_nested_additional_models()])
    inputs = forward_inputs(width, height, frames, device)
    audio_SFKLC, masks_MP = inputs.pop("audio_SFKLC")[: arguments.voices], None
    if arguments.voices > 1:
        masks = default_masks(arguments.voices, height, width)
        masks_MP = make_speaker_masks(masks, arguments.voices, height, width).token_MK.to(device)
    backend = backend_for(model, arguments.attention)
    call = TalkCall((WindowVoices(audio_SFKLC, masks_MP),), backend.attention, talks_of(model))
    tree = model.model.diffusion_model
    given = as_the_host_hands_it(model, inputs)
    clock = Clock(device, arguments.runs)
    return Evaluation(model, TalkForward(tree, call, arguments.compile), given, clock)


def as_the_host_hands_it(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What the host gives to the forward of its transformer for these inputs."""
    tree, given = model.model.diffusion_model, dict[str, Any]()

    def note(x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        names = ("t", "context", "clip_fea", "freqs", "transformer_options")
        given.update({"x": x, **dict(zip(names, arguments, strict=False)), **options})
        return x[:, :16]

    tree.forward_orig = note
    try:
        sigma = torch.full((1,), 0.9, device=inputs["x"].device)
        model.model.apply_model(t=sigma, transformer_options={"cond_or_uncond": [0]}, **inputs)
    finally:
        del tree.forward_orig
    return given


def asked_codec(arguments: argparse.Namespace) -> RankCodec | None:
    """The VAE, if it is to be measured."""
    return codec_of(arguments) if "vae" in arguments.parts else None


def measure_alone(
    arguments: argparse.Namespace, evaluation: Evaluation, codec: RankCodec | None
) -> dict[str, float]:
    """The whole on one device; seconds of a forward, of decode and of encode."""
    whole = evaluation.clock.time(evaluation)
    emit({"what": "forward", "ranks": 1, **whole})
    if codec is None:
        return {"forward": whole["best_s"]}
    coding = measure_codec_alone(codec, evaluation.clock)
    emit_sums(arguments, 1, whole["best_s"], sum(coding.values()))
    return {"forward": whole["best_s"], **coding}


def emit_sums(
    arguments: argparse.Namespace, ranks: int, forward_s: float, codec_s: float, **marks: Any
) -> None:
    """A window and a minute of video, from a forward's seconds."""
    from evertalk_pack.multitalk.common.types import FPS, MOTION_FRAMES

    frames = size_of(arguments)[2]
    windows = math.ceil((60 * FPS - MOTION_FRAMES) / (frames - MOTION_FRAMES))
    window_s = arguments.steps * forward_s + codec_s
    row = {"ranks": ranks, "is_a_sum": True, **marks}
    emit({"what": "window", **row, "s": round(window_s, 4)})
    emit({"what": "minute", **row, "s": round(windows * window_s, 2), "windows": windows})


def measure_split(evaluation: Evaluation, size: int) -> None:
    """Whether so many ranks, threads of this process, give what one gives."""
    from rank_clocks import on_threads, relative_difference

    with torch.inference_mode():
        whole = evaluation(compiled=False)
    shared = on_threads(size, None, partial(evaluation, compiled=False))
    emit({"what": "split", "ranks": size, "relative_difference": relative_difference(shared, whole)})


def project(
    arguments: argparse.Namespace,
    evaluation: Evaluation,
    codec: RankCodec | None,
    size: int,
    alone: dict[str, float],
) -> None:
    """The first of so many ranks by itself, and what follows from its bytes."""
    from rank_clocks import CopyingRanks, Spent

    group: Any = None
    sent = Spent()
    evaluation(CopyingRanks(0, size, group, sent), compiled=False)
    row = evaluation.clock.time(partial(evaluation, CopyingRanks(0, size, group)))
    row |= {"declared_gb": declared_gb(evaluation, size), "calls": sent.calls, "sent_bytes": sent.sent_bytes}
    emit({"what": "projection", "ranks": size, **row})
    coding = None if codec is None else project_codec(codec, evaluation.clock, size)
    for rate in arguments.link_gb_s:
        forward_s = row["best_s"] + sent.sent_bytes / rate / 1e9
        marks = {"is_a_projection": True, "assumed_link_gb_s": rate}
        efficiency = round(alone["forward"] / (size * forward_s), 3)
        emit({"what": "forward", "ranks": size, **marks, "s": round(forward_s, 4), "efficiency": efficiency})
        if coding is not None:
            codec_s, codec_bytes = coding
            emit_sums(arguments, size, forward_s, codec_s + codec_bytes / rate / 1e9, **marks)


def declared_gb(evaluation: Evaluation, size: int) -> float:
    """What the pack's formula says that a rank of so many takes beside the weights."""
    from evertalk_pack.multitalk.windows.loop import WindowVoices
    from evertalk_pack.nodes.host.model.memory import forward_size
    from evertalk_pack.wanvideo.memory import forward_bytes

    call = evaluation.forward.call
    voices = WindowVoices(call.branches[0].audio_SFKLC, call.branches[0].token_masks_MP)
    latents = evaluation.given["x"][:, :16]
    whole = forward_size(evaluation.model, latents, voices, call.attention, 0)
    return round(forward_bytes(replace(whole, ranks=size)) / 1e9, 3)


def outside_torch_gb(device: torch.device) -> float | None:
    """What of a GPU's memory is used and not torch's: the driver's, NCCL's, other programs'."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return round((total - free - torch.cuda.memory_reserved(device)) / 1e9, 3)


def one_rank(rank: int, size: int, port: int, arguments: argparse.Namespace, alone: dict[str, float]) -> None:
    """A process of several; the first one prints."""
    import torch.distributed as dist

    is_cuda = arguments.device.type == "cuda"
    if is_cuda:
        arguments.device = torch.device("cuda", rank)
        torch.cuda.set_device(rank)
    else:  # else each process takes all cores, and waits for the others in the middle of every product
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("nccl" if is_cuda else "gloo", rank=rank, world_size=size)
    try:
        pack_alias.prepare(use_cpu=not is_cuda)
        with torch.inference_mode():
            measure_ranks(prepared(arguments), asked_codec(arguments), rank, size, arguments, alone)
    finally:
        dist.destroy_process_group()


def measure_ranks(
    evaluation: Evaluation,
    codec: RankCodec | None,
    rank: int,
    size: int,
    arguments: argparse.Namespace,
    alone: dict[str, float],
) -> None:
    """The forward by all processes of the group, with what each of them took."""
    import torch.distributed as dist
    from evertalk_pack.wanvideo.ranks import Ranks
    from rank_clocks import Spent, TimedRanks, clock, relative_difference

    group: Any = dist.group.WORLD
    ranks = Ranks(rank, size, group)
    before_gb = outside_torch_gb(arguments.device)
    row = evaluation.clock.time(partial(evaluation, ranks))
    difference = relative_difference(evaluation(ranks), evaluation())
    timed = TimedRanks(rank, size, group, Spent())
    evaluation(timed, compiled=False)  # a first call, which is not counted
    timed = TimedRanks(rank, size, group, Spent())
    started_s = clock(arguments.device)
    evaluation(timed, compiled=False)
    forward_s = round(clock(arguments.device) - started_s, 4)
    rows: list[Any] = [None] * size
    spent = timed.spent
    mine = {**row, "waiting_s": spent.waiting_s, "exchange_s": spent.exchange_s}
    mine["outside_torch_gb"] = [before_gb, outside_torch_gb(arguments.device)]
    dist.all_gather_object(rows, mine)
    codec_s = None if codec is None else measure_codec_ranks(codec, ranks, evaluation.clock, alone)
    if rank:
        return
    slowest_s = max(one["best_s"] for one in rows)
    efficiency = round(alone["forward"] / (size * slowest_s), 3)
    memory = {name: [one.get(name) for one in rows] for name in ("peak_gb", "outside_torch_gb")}
    found = {"best_s": slowest_s, "efficiency": efficiency, **memory}
    emit({"what": "ranks", "ranks": size, **found, "relative_difference": difference})
    parts = {name: [round(one[name], 4) for one in rows] for name in ("waiting_s", "exchange_s")}
    emit({"what": "exchange", "ranks": size, "forward_s": forward_s, **parts, "calls": spent.calls})
    if codec_s is not None:
        emit_sums(arguments, size, slowest_s, codec_s)


def run_processes(size: int, arguments: argparse.Namespace, alone: dict[str, float]) -> None:
    """So many ranks, a process each."""
    from torch.multiprocessing.spawn import spawn

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(one_rank, args=(size, port, arguments, alone), nprocs=size)


def main() -> None:
    """Measure what this machine can."""
    arguments = read_arguments()
    is_cuda = arguments.device.type == "cuda"
    pack_alias.prepare(use_cpu=not is_cuda)
    emit_setting("parallel", arguments, arguments.device)
    with torch.inference_mode():
        evaluation, codec = prepared(arguments), asked_codec(arguments)
        sizes = [size for size in arguments.ranks if evaluation.heads % size == 0]
        alone = measure_alone(arguments, evaluation, codec)
        for size in () if arguments.measured else sizes:
            measure_split(evaluation, size)
            if codec is not None:
                split_codec(codec, size)
            project(arguments, evaluation, codec, size, alone)
    del evaluation, codec
    if is_cuda:
        torch.cuda.empty_cache()
    available = torch.cuda.device_count() if is_cuda else max(sizes, default=1)
    for size in sizes:
        if size <= available:
            run_processes(size, arguments, alone)


if __name__ == "__main__":
    main()
