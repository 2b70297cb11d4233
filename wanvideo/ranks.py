"""One evaluation of the transformer over several processes, each of which holds all weights (a rank each).

Tokens are split over the ranks: embeddings, norms, products, feed-forward and cross-attention of a token need
no other token. Self-attention needs all of them but keeps its heads apart, so around it tokens and heads
change places (DeepSpeed-Ulysses: Jacobs and others, 2023). A share that a rank's tokens do not fill is padded
with zeros, which no attention sees. Queries, keys and values are exchanged apart: one exchange of all three
would copy them twice more and hold nine copies of the tokens at once.

Written by hand, since what torch has splits the keys, not the heads: its context parallelism (ring attention)
replaces torch's own attention alone, while here any kernel must run, and DTensor would have to know every
layer class of the host. xfuser and yunchang replace the model or call kernels of their own choice. What is
below is three public collectives, which torch's compiler knows, so that a block stays one graph. gloo (CPU)
and NCCL (GPU) have all three, for all precisions that are computed in. The VAE is split in another way, by
rows of the picture: see vae_rows.

Shape letters: P ranks, B batch, L tokens of all ranks, N tokens of a share, H all heads, G heads of a rank, D
head dimension.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch.nn.functional import pad

from .errors import RankCountError


def fitting_sizes(num_heads: int, most: int) -> tuple[int, ...]:
    """How many ranks, up to `most`, can share so many attention heads evenly; one always can."""
    return tuple(size for size in range(1, most + 1) if num_heads % size == 0)


def check_size(num_heads: int, size: int) -> None:
    """Refuse a number of ranks that cannot share the heads evenly.

    Raises:
        RankCountError: names the numbers that can.
    """
    if num_heads % size:
        fitting = ", ".join(str(one) for one in fitting_sizes(num_heads, num_heads))
        raise RankCountError(
            f"{size} GPUs cannot share the {num_heads} attention heads of this model evenly. Choose a number "
            f"that divides them: {fitting}."
        )


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that make one evaluation together.

    Every collective must be called by all of them, in the same order.

    Attributes:
        rank: this process's number, from 0.
        size: how many there are.
        group: torch's, of these processes.
    """

    rank: int
    size: int
    group: "dist.ProcessGroup"  # quoted: a torch without distributed processes has no such name

    def swapped(self, parts_P: torch.Tensor) -> torch.Tensor:
        """Give part p to rank p; what all ranks gave to this one, in their order, of the same shape."""
        received_P = torch.empty_like(parts_P)
        dist.all_to_all_single(received_P, parts_P, group=self.group)
        return received_P

    def passed(self, x: torch.Tensor, given: list[int], taken: list[int]) -> torch.Tensor:
        """Give so many entries of the first dimension to each rank in turn; what the ranks gave to this one.

        Args:
            x: as many entries as `given` in sum.
            given: entries for each rank.
            taken: entries from each rank.
        """
        taken_X = x.new_empty(sum(taken), *x.shape[1:])
        dist.all_to_all_single(taken_X, x.contiguous(), taken, given, group=self.group)
        return taken_X

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """The `x` of all ranks, (P, *shape)."""
        all_PX = x.new_empty(self.size * x.shape[0], *x.shape[1:])
        dist.all_gather_into_tensor(all_PX, x.contiguous(), group=self.group)
        return all_PX.unflatten(0, (self.size, x.shape[0]))

    def agreed(self, answer: bool, device: torch.device) -> bool:
        """The first rank's answer; waits for it."""
        answer_1 = torch.tensor([answer], dtype=torch.uint8, device=device)
        dist.broadcast(answer_1, dist.get_global_rank(self.group, 0), group=self.group)
        return bool(answer_1.item())


class FrameSpan(NamedTuple):
    """The frames that a share lies in; it begins and ends in the middle of frames.

    Attributes:
        first: frame.
        end: the frame after the last.
        before: tokens that the first frame has before the share.
        after: tokens that the last frame has after the share; negative where the share ends with padding, so
            that padding to whole frames takes these tokens off.
    """

    first: int
    end: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class TokenSplit:
    """A rank's share of the tokens of one evaluation.

    Attributes:
        ranks: the processes.
        tokens: of the whole evaluation.
    """

    ranks: Ranks
    tokens: int

    @property
    def length(self) -> int:
        """Tokens of every share, the padding of the last ones counted in."""
        return -(-self.tokens // self.ranks.size)

    @property
    def start(self) -> int:
        """Which of all tokens this share begins with; beyond the last where it is padding alone."""
        return self.ranks.rank * self.length

    def frames_around(self, frames: int) -> FrameSpan:
        """Which of so many frames, that all tokens are of, this share lies in."""
        per_frame = self.tokens // frames
        start = min(self.start, self.tokens - 1)  # a share of padding alone is as good as the last token
        first, before = divmod(start, per_frame)
        end = min(start + self.length - 1, self.tokens - 1) // per_frame + 1
        return FrameSpan(first, end, before, (end - first) * per_frame - before - self.length)

    def out_of_frames(self, x_BLC: torch.Tensor, span: FrameSpan) -> torch.Tensor:
        """This rank's share (B, N, C) of the tokens (B, L, C) of the frames around it."""
        return pad(x_BLC, (0, 0, -span.before, -span.after))

    def share_of(self, x_BLX: torch.Tensor) -> torch.Tensor:
        """This rank's share (B, N, ...) of the tokens (B, L, ...), a copy."""
        own_BNX = x_BLX[:, self.start : self.start + self.length]
        missing = self.length - own_BNX.shape[1]
        if missing:
            return pad(own_BNX, (0, 0) * (x_BLX.ndim - 2) + (0, missing))
        # Copied: a view would keep the tokens of all ranks in memory, and their strides cost a second graph.
        return own_BNX.clone(memory_format=torch.contiguous_format)

    def whole(self, x_BNX: torch.Tensor) -> torch.Tensor:
        """All ranks' tokens (B, L, ...) from their shares (B, N, ...)."""
        return self.ranks.gathered(x_BNX).transpose(0, 1).flatten(1, 2)[:, : self.tokens]

    def to_heads(self, x_BNHD: torch.Tensor) -> torch.Tensor:
        """All tokens in this rank's heads, (B, L, G, D), from this rank's tokens in all heads."""
        parts_PBNGD = x_BNHD.unflatten(2, (self.ranks.size, -1)).permute(2, 0, 1, 3, 4).contiguous()
        return self.ranks.swapped(parts_PBNGD).transpose(0, 1).flatten(1, 2)[:, : self.tokens].contiguous()

    def to_tokens(self, x_BLGD: torch.Tensor) -> torch.Tensor:
        """This rank's tokens in all heads, (B, N, H, D), from all tokens in its heads."""
        padding = self.length * self.ranks.size - self.tokens
        padded_BLGD = pad(x_BLGD, (0, 0, 0, 0, 0, padding)) if padding else x_BLGD
        parts_PBNGD = padded_BLGD.unflatten(1, (self.ranks.size, -1)).transpose(0, 1).contiguous()
        return self.ranks.swapped(parts_PBNGD).permute(1, 2, 0, 3, 4).flatten(2, 3)
