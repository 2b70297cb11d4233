"""Rotary positions of Wan 2.1: three axes (time, rows, columns), interleaved pairs, base 10000.

Shape letters: B batch, L tokens, H heads, D head dimension, P = D/2 pairs.
Source: Wan 2.1 (Wan-Video/Wan2.1, wan/modules/model.py) for the split of the head dimension over the axes.
"""

from dataclasses import dataclass

import torch

from .ranks import TokenSplit

BASE = 10000.0


@dataclass(frozen=True, slots=True)
class Rotation:
    """The turn of every token's pairs.

    Attributes:
        turn_BLHP2: cosine and sine, (1 or batch, tokens, 1, head_dim / 2, 2), float32, contiguous.
    """

    turn_BLHP2: torch.Tensor


def angles(positions_L: torch.Tensor, pairs: int) -> torch.Tensor:
    """Angles (..., tokens, pairs) of 1-D positions (..., tokens), in the precision of the positions."""
    exponents = torch.arange(pairs, dtype=positions_L.dtype, device=positions_L.device) / pairs
    return positions_L[..., None] * BASE**-exponents


def rotation_of_angles(angles_BLP: torch.Tensor) -> Rotation:
    """The rotation by the given angles (1 or batch, tokens, pairs)."""
    turns = torch.stack((angles_BLP.cos().float(), angles_BLP.sin().float()), dim=-1)
    return Rotation(turns[:, :, None])


def grid_rotation(grid_THW: tuple[int, int, int], head_dim: int, device: torch.device) -> Rotation:
    """The rotation of a token grid (frames, rows, columns), in the order of the flattened grid."""
    side = 2 * (head_dim // 6)
    pairs = (head_dim - 2 * side) // 2, side // 2, side // 2
    # float64: in float32 the angles of far tokens would be off in the fifth digit.
    places = (torch.arange(size, dtype=torch.float64, device=device) for size in grid_THW)
    axes = torch.meshgrid(*places, indexing="ij")
    parts = [angles(axis.flatten(), count) for axis, count in zip(axes, pairs, strict=True)]
    return rotation_of_angles(torch.cat(parts, dim=1)[None])


def rotation_share(rotation: Rotation, split: TokenSplit) -> Rotation:
    """The rotation of a rank's share of the tokens; padding is turned to zeros, which it is."""
    return Rotation(split.share_of(rotation.turn_BLHP2))


def rotate(x_BLHD: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Rotate each interleaved pair of x by its token's angles; computed in float32, returned in x's dtype.

    A pair is a complex number and the rotation a product: three passes over memory instead of ten. A compiler
    fuses real arithmetic into one pass, but knows no complex numbers; and where the two halves of the pairs
    are put together from two results, it writes those first, in float32.
    """
    if torch.compiler.is_compiling():
        pairs_BLHP2 = x_BLHD.float().unflatten(-1, (-1, 2))
        cos, sin = rotation.turn_BLHP2.split(1, dim=-1)
        signs_2 = 2 * torch.arange(2, device=x_BLHD.device) - 1
        turned_BLHP2 = pairs_BLHP2 * cos + pairs_BLHP2.flip(-1) * (sin * signs_2)
    else:
        # Turned in place in a copy of its own: this is where a block needs the most memory.
        turned_BLHP2 = x_BLHD.to(torch.float32, copy=True).unflatten(-1, (-1, 2))
        torch.view_as_complex(turned_BLHP2).mul_(torch.view_as_complex(rotation.turn_BLHP2))
    return turned_BLHP2.flatten(-2).type_as(x_BLHD)
