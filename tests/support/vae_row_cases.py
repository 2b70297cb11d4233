"""A tiny VAE by one process and by several that share its rows: what test_vae_rows.py compares."""

from collections.abc import Iterator
from typing import Any

import torch
from evertalk_pack.wanvideo import vae_layers
from evertalk_pack.wanvideo.ranks import Ranks
from evertalk_pack.wanvideo.vae_layers import ConvKernel, ResidualPast, ResidualWeights, residual
from evertalk_pack.wanvideo.vae_rows import RowSplit
from evertalk_pack.wanvideo.vae_stream import (
    VaeStreamSettings,
    channels_last,
    chunk_bounds,
    decode_stream,
    encode_stream,
)

LATENTS, COLUMNS = 4, 3
ROWS = {"as many for each": 3, "more for some": 7}


def tiny_tree() -> Any:
    """The host's VAE, narrow, with random weights, in a process of its own."""
    from comfy.cli_args import args

    args.cpu = True
    return narrow_vae()


def narrow_vae() -> Any:
    """The host's VAE, narrow, with random weights."""
    from comfy.ldm.wan.vae import WanVAE

    generator = torch.Generator().manual_seed(0)
    vae = WanVAE(dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], temperal_downsample=[False, True, True])
    for parameter in vae.parameters():
        fan_in = max(parameter[0].numel(), 1) if parameter.ndim > 3 and parameter.shape[-1] > 1 else 4
        parameter.data = torch.randn(parameter.shape, generator=generator) * fan_in**-0.5
    return vae.eval().requires_grad_(requires_grad=False)


def decoded(tree: Any, latents: torch.Tensor, split: RowSplit | None = None, **changed: Any) -> torch.Tensor:
    """The frames of all rows; on ranks but the first none."""
    settings = VaeStreamSettings(2, split=split, **changed)
    parts = decode_stream(tree, latents if split is None else split.own(latents), settings)
    return torch.cat([part if split is None else split.collected(part) for part in parts], dim=2)


def encoded(tree: Any, video: torch.Tensor, split: RowSplit | None = None) -> torch.Tensor:
    """The latents of all rows; on ranks but the first none. Only the first looks at the video."""
    rows = video.shape[-2]

    def chunks() -> Iterator[torch.Tensor]:
        for start, stop in chunk_bounds(LATENTS, 2):
            part = video[:, :, start and 4 * start - 3 : 4 * stop - 3]
            if split is not None and split.ranks.rank:
                part = part[..., :0, :]
            yield part if split is None else split.dealt(part, rows)

    parts = list(encode_stream(tree, chunks(), VaeStreamSettings(2, split=split)))
    latents = torch.cat(parts, dim=2)
    return latents if split is None else split.collected(latents)


def all_cases(ranks: Ranks) -> dict[str, Any]:
    """What this rank found: decodes and encodes alone and together, by their names."""
    tree, found = tiny_tree(), dict[str, Any]()
    for name, rows in ROWS.items():
        generator = torch.Generator().manual_seed(rows)
        latents = torch.randn(1, 16, LATENTS, rows, COLUMNS, generator=generator)
        video = torch.rand(1, 3, 4 * LATENTS - 3, 8 * rows, 8 * COLUMNS, generator=generator) * 2 - 1
        split = RowSplit(ranks, rows)
        found[f"decode, {name}"] = decoded(tree, latents), decoded(tree, latents, split)
        found[f"encode, {name}"] = encoded(tree, video), encoded(tree, video, split)
    found["side by side"] = side_by_side(tree, RowSplit(ranks, 7))
    found["convolved"] = convolved_rows(tree, RowSplit(ranks, 7))
    found["graphs"] = graphed(tree, RowSplit(ranks, 7))
    return found


def seven_rows() -> torch.Tensor:
    return torch.randn(1, 16, 3, 7, COLUMNS, generator=torch.Generator().manual_seed(1))


def convolved_rows(tree: Any, split: RowSplit) -> int:
    """Rows of the largest frames that this rank convolved."""
    seen, usual = list[int](), vae_layers.convolve

    def noted(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(x.shape[-2])
        return usual(x, *rest)

    vae_layers.convolve = noted
    try:
        decoded(tree, seven_rows(), split)
    finally:
        vae_layers.convolve = usual
    return max(seen)


def side_by_side(tree: Any, split: RowSplit) -> tuple[torch.Tensor, torch.Tensor]:
    """A decode as on a GPU, where frames of few channels are convolved side by side."""
    latents, usual = seven_rows(), vae_layers.is_side_by_side
    vae_layers.is_side_by_side = lambda _device, _channels: True
    try:
        return decoded(tree, latents), decoded(tree, latents, split)
    finally:
        vae_layers.is_side_by_side = usual


def graphed(tree: Any, split: RowSplit) -> tuple[torch.Tensor, torch.Tensor, int]:
    """This rank's rows of a residual block, by one process and as a whole graph; how many graphs."""
    graphs: list[torch.fx.GraphModule] = []

    def keep_graph(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    compute: Any = torch.compile(residual, dynamic=False, fullgraph=True, backend=keep_graph)
    block = tree.decoder.middle[0]
    norm_1, _, conv_1, norm_2, _, _, conv_2 = block.residual
    kernels = [ConvKernel(conv.weight, conv.bias, (1, 1, 1)) for conv in (conv_1, conv_2)]
    weights = ResidualWeights(norm_1.gamma, kernels[0], norm_2.gamma, kernels[1], None)
    generator = torch.Generator().manual_seed(1)
    x = channels_last(torch.randn(1, block.in_dim, 2, 7, COLUMNS, generator=generator))
    together, _ = compute(channels_last(split.own(x)), ResidualPast(), weights, split)
    whole, _ = residual(x, ResidualPast(), weights)
    return split.own(whole).clone(), together, len(graphs)
