"""Colour match of video frames to a reference picture, and how far the colours have drifted from it.

`LAB` gives every frame the reference's mean and standard deviation of each Lab channel: Reinhard and others,
"Color Transfer between Images", 2001, in CIE Lab as the weights' authors do it. `MKL` maps the frame's RGB
mean and covariance onto the reference's with the least change: Pitie and Kokaram, "The Linear
Monge-Kantorovitch Linear Colour Mapping for Example-Based Colour Transfer", 2007.

Shape letters: F frames, H and W pixels, C the 3 colour channels, P pixels of a frame.
"""

from collections.abc import Callable
from enum import Enum

import torch

from ..common.errors import InputError
from .lab import lab_planes, planes_of, rgb_planes

CHUNK_PIXELS = 4_000_000
"""Pixels matched at a time: about 10 frames of 832x480, so that the copies in between stay under 1 GB."""

CPU_CHUNK_PIXELS = 400_000
"""The same on a CPU: about a frame, whose copies stay in its caches."""

FLAT_STD_LAB = 0.5
"""A channel that varies less is flat to the eye (and near 1e-7 in a frame of one colour); it counts as
varying this much, so that rounding noise is not stretched to the contrast of the reference."""

FLAT_STD_RGB = 0.005
"""The same for the axes of RGB covariances, in values of 0..1."""


class ColourMethod(Enum):
    """How colours are matched."""

    LAB = "lab"
    MKL = "mkl"


def match_colour(
    frames_FHWC: torch.Tensor,
    reference_HWC: torch.Tensor,
    strength: float,
    method: ColourMethod = ColourMethod.LAB,
    chunk_pixels: int | None = None,
) -> torch.Tensor:
    """Matches each frame's colours to the reference, which may have another size; values are 0..1.

    Frames are clipped to 0..1 before they are blended, so a strength below 1 clips the untouched share too;
    strength 0 returns the frames themselves. Computed in float32 on the frames' device, returned in their
    dtype. So many pixels are matched at a time; None: as many as suit the device.

    Raises:
        InputError: the strength is not in 0..1.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"colour strength is {strength:g}; give a number from 0 (off) to 1 (full match)")
    if strength == 0:
        return frames_FHWC
    reference = reference_HWC.to(frames_FHWC.device).float().clamp(0, 1)
    matcher = MATCHERS[method](reference[None])
    matched_FHWC = torch.empty_like(frames_FHWC)
    for chunk, into in zip(
        _chunks(frames_FHWC, chunk_pixels), _chunks(matched_FHWC, chunk_pixels), strict=True
    ):
        clipped = chunk.float().clamp(0, 1)
        into.copy_(torch.lerp(clipped, matcher(clipped), strength))
    return matched_FHWC


def colour_drift(frames_FHWC: torch.Tensor, reference_HWC: torch.Tensor) -> float:
    """How far the frames' mean colour lies from the reference's: a Lab distance, averaged over the frames.

    About 2 is just visible side by side; values are 0..1.
    """
    reference_1C = _mean_lab(reference_HWC.to(frames_FHWC.device)[None])
    means_FC = torch.cat([_mean_lab(chunk) for chunk in _chunks(frames_FHWC)])
    return float((means_FC - reference_1C).norm(dim=-1).mean())


def _mean_lab(frames_FHWC: torch.Tensor) -> torch.Tensor:
    lab_CFHW = lab_planes(planes_of(frames_FHWC.clamp(0, 1)))
    return torch.stack([plane_FHW.mean(dim=(1, 2)) for plane_FHW in lab_CFHW], dim=-1)


def _chunks(frames_FHWC: torch.Tensor, chunk_pixels: int | None = None) -> tuple[torch.Tensor, ...]:
    pixels = frames_FHWC.shape[1] * frames_FHWC.shape[2]
    usual = CPU_CHUNK_PIXELS if frames_FHWC.device.type == "cpu" else CHUNK_PIXELS
    return frames_FHWC.split(max(1, (chunk_pixels or usual) // pixels))


Matcher = Callable[[torch.Tensor], torch.Tensor]


def _lab_matcher(reference_1HWC: torch.Tensor) -> Matcher:
    wanted = [
        (mean, centred.square().mean().sqrt())
        for mean, centred in map(_centred, lab_planes(planes_of(reference_1HWC)))
    ]

    def match(frames_FHWC: torch.Tensor) -> torch.Tensor:
        matched: list[torch.Tensor] = []
        for plane_FHW, (mean, std) in zip(lab_planes(planes_of(frames_FHWC)), wanted, strict=True):
            _, centred = _centred(plane_FHW)
            own_std = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()
            matched.append(centred.mul_(std / own_std.clamp(min=FLAT_STD_LAB)).add_(mean))
        return torch.stack(rgb_planes(matched), dim=-1)

    return match


def _centred(plane_FHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of each frame, (F, 1, 1), and what differs from it."""
    mean_F11 = plane_FHW.mean(dim=(1, 2), keepdim=True)
    return mean_F11, plane_FHW - mean_F11


def _mkl_matcher(reference_1HWC: torch.Tensor) -> Matcher:
    reference_1PC = reference_1HWC.flatten(1, 2)
    reference_mean = reference_1PC.mean(dim=1, keepdim=True)
    target_1CC = _covariance(reference_1PC - reference_mean)

    def match(frames_FHWC: torch.Tensor) -> torch.Tensor:
        frames_FPC = frames_FHWC.flatten(1, 2)
        centred_FPC = frames_FPC - frames_FPC.mean(dim=1, keepdim=True)
        transport_FCC = _transport(_covariance(centred_FPC), target_1CC).float()
        rows = [
            (centred_FPC * transport_FCC[:, None, :, channel]).sum(dim=-1)  # a matrix product may run in TF32
            for channel in range(3)
        ]
        moved_FPC = torch.stack(rows, dim=-1) + reference_mean
        return moved_FPC.clamp(0, 1).view_as(frames_FHWC)

    return match


def _covariance(centred_FPC: torch.Tensor) -> torch.Tensor:
    rows = [(centred_FPC * centred_FPC[..., channel, None]).mean(dim=1) for channel in range(3)]
    return torch.stack(rows, dim=1).double()


def _transport(source_FCC: torch.Tensor, target_FCC: torch.Tensor) -> torch.Tensor:
    """The symmetric map that turns covariance `source` into `target`, in float64."""
    variances_FC, axes_FCC = torch.linalg.eigh(source_FCC)
    roots_FC = variances_FC.clamp(min=FLAT_STD_RGB**2).sqrt()
    root_FCC = _rebuild(roots_FC, axes_FCC)
    inverse_FCC = _rebuild(1 / roots_FC, axes_FCC)
    inner_FC, inner_axes_FCC = torch.linalg.eigh(root_FCC @ target_FCC @ root_FCC)
    return inverse_FCC @ _rebuild(inner_FC.clamp(min=0).sqrt(), inner_axes_FCC) @ inverse_FCC


def _rebuild(values_FC: torch.Tensor, axes_FCC: torch.Tensor) -> torch.Tensor:
    return (axes_FCC * values_FC[:, None, :]) @ axes_FCC.transpose(1, 2)


MATCHERS: dict[ColourMethod, Callable[[torch.Tensor], Matcher]] = {
    ColourMethod.LAB: _lab_matcher,
    ColourMethod.MKL: _mkl_matcher,
}
