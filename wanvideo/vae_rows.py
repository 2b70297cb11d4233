"""The VAE over several processes: each computes some rows of every frame.

A convolution over three rows needs the one above and the one below of each: before it the ranks give one
another the rows at their borders. Self-attention needs all rows: the ranks collect them and each attends over
all, as one process does, since it is a hundredth of a decode. All else in Wan 2.1's VAE (norms over channels,
the past of convolutions over time, changes of size) needs no other row.

Shares are whole latent rows, the first ones larger by one where they do not come out even: whatever the size
of a layer's frames, a share of it is the same part of the picture.

Shape letters: B batch, C channels, T frames, N pictures, H and W rows and columns, of the whole picture or of
a share.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from .ranks import Ranks

ROWS = -2
"""The dimension of rows, in pictures (N, C, H, W) and in videos (B, C, T, H, W)."""


@dataclass(frozen=True, slots=True)
class RowSplit:
    """A rank's rows of one video.

    Attributes:
        ranks: the processes.
        latent_rows: of the whole video; at least one for each rank.
    """

    ranks: Ranks
    latent_rows: int

    def shares(self, rows: int) -> list[int]:
        """How many rows each rank has, of a picture of so many."""
        even, left = divmod(self.latent_rows, self.ranks.size)
        scale = rows // self.latent_rows
        return [scale * (even + (rank < left)) for rank in range(self.ranks.size)]

    def own(self, x: torch.Tensor) -> torch.Tensor:
        """This rank's rows of a whole picture or video; a view."""
        shares = self.shares(x.shape[ROWS])
        rank = self.ranks.rank
        return x.narrow(ROWS, sum(shares[:rank]), shares[rank])

    def borders(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows above and below this rank's, of its neighbours; zeros beyond the picture's edges."""
        rank, size = self.ranks.rank, self.ranks.size
        edges = {rank - 1: x[..., :1, :], rank + 1: x[..., -1:, :]}
        with_whom = [other for other in edges if 0 <= other < size]
        counts = [int(other in with_whom) for other in range(size)]
        given = rows_first(torch.cat([edges[other] for other in with_whom], dim=ROWS))
        taken = rows_back(self.ranks.passed(given, counts, counts))
        nothing = torch.zeros_like(x[..., :1, :])
        above = taken[..., :1, :] if rank > 0 else nothing
        below = taken[..., -1:, :] if rank + 1 < size else nothing
        return above, below

    def whole(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """The pictures of all ranks' rows, on each of them, in channels-last memory."""
        shares = self.shares_like(x_NCHW)
        padded = pad(rows_first(x_NCHW), (0, 0) * 3 + (0, max(shares) - x_NCHW.shape[ROWS]))
        parts = [part[:share] for part, share in zip(self.ranks.gathered(padded), shares, strict=True)]
        return rows_back(torch.cat(parts)).contiguous(memory_format=torch.channels_last)

    def collected(self, x: torch.Tensor) -> torch.Tensor:
        """All ranks' rows on the first one; on the others none."""
        shares, rank = self.shares_like(x), self.ranks.rank
        given = [x.shape[ROWS]] + [0] * (self.ranks.size - 1)
        taken = shares if rank == 0 else [0] * self.ranks.size
        return rows_back(self.ranks.passed(rows_first(x), given, taken))

    def dealt(self, x: torch.Tensor, rows: int) -> torch.Tensor:
        """This rank's rows of a picture of so many, which the first one holds; the others give none."""
        shares, rank = self.shares(rows), self.ranks.rank
        given = shares if rank == 0 else [0] * self.ranks.size
        taken = [shares[rank]] + [0] * (self.ranks.size - 1)
        return rows_back(self.ranks.passed(rows_first(x), given, taken))

    def shares_like(self, x: torch.Tensor) -> list[int]:
        """How many rows of the whole picture each rank has, where this one has those of `x`."""
        scale = x.shape[ROWS] // self.shares(self.latent_rows)[self.ranks.rank]
        return self.shares(scale * self.latent_rows)


def rows_first(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) as (H, N, W, C), (B, C, T, H, W) as (H, B, T, W, C): each row's channels-last memory."""
    return x.movedim(1, -1).movedim(-3, 0)


def rows_back(x: torch.Tensor) -> torch.Tensor:
    """The other way."""
    return x.movedim(0, -3).movedim(-1, 1)
