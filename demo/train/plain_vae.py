"""Wan 2.1's VAE in plain torch, with the published names, as one pass over a whole video.

A host runs it four frames at a time with caches; one pass gives the same numbers (a test compares them) and
is
several times quicker to train. Activations are (B T, C, H, W) in channels-last memory.

Shape letters: B batch, T frames (of pixels or latents), C channels, H and W pixels or latent rows and
columns.
Source: Wan 2.1 (Wan-Video/Wan2.1, wan/modules/vae.py).
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

Z_DIM = 16
WIDTH = 16
MULTIPLES = (1, 2, 4, 4)
TIME_DOWN = (False, True, True)


class Norm(nn.Module):
    """RMS norm over channels; with SiLU where one follows."""

    def __init__(self, width: int, axes: int = 3) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, *(1,) * axes))

    def forward(self, x: torch.Tensor, *, silu: bool = True) -> torch.Tensor:
        values = x.float()
        scale = values.square().mean(dim=1, keepdim=True).add(1e-12).rsqrt()
        values = values * scale * self.gamma.flatten()[:, None, None]
        return (F.silu(values) if silu else values).to(x.dtype)


class Conv(nn.Module):
    """A convolution that is causal in time: a kernel (taps, side, side), zeros before the first frame."""

    def __init__(self, width_in: int, width: int, taps: int, side: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width_in, taps, side, side))
        with torch.no_grad():
            self.weight.mul_(gain * (width_in * taps * side * side) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        taps, side = weight.shape[2:4]
        if taps == 1:
            return F.conv2d(x, weight[:, :, 0], bias, padding=side // 2)
        # the taps side by side on the channel axis: one plain convolution of pictures
        video = x.unflatten(0, (-1, frames))
        shifted = [F.pad(video, (0, 0, 0, 0, 0, 0, back, 0))[:, :frames] for back in range(taps - 1, -1, -1)]
        stacked = torch.cat(shifted, dim=2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        kernel = weight.transpose(1, 2).flatten(1, 2)
        return F.conv2d(stacked, kernel, bias, padding=side // 2)


class Conv2d(nn.Module):
    """A convolution of single pictures."""

    def __init__(self, width_in: int, width: int, side: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            gain * torch.randn(width, width_in, side, side) * (width_in * side * side) ** -0.5
        )
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor, stride: int = 1, padding: int = 0) -> torch.Tensor:
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype), stride=stride, padding=padding)


class Residual(nn.Module):
    """Two normed convolutions beside a shortcut."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.residual = nn.ModuleDict({
            "0": Norm(width_in), "2": Conv(width_in, width, 3, 3), "3": Norm(width), "6": Conv(width, width,
            3, 3, 0.3)
        })  # fmt: skip
        self.shortcut = Conv(width_in, width, 1, 1) if width_in != width else None

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        hidden = self.residual["2"](self.residual["0"](x), frames)
        hidden = self.residual["6"](self.residual["3"](hidden), frames)
        return hidden + (x if self.shortcut is None else self.shortcut(x, frames))


class Attention(nn.Module):
    """One head over the places of a frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width, 2)
        self.to_qkv = Conv2d(width, 3 * width, 1)
        self.proj = Conv2d(width, width, 1, 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.to_qkv(self.norm(x, silu=False)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return x + self.proj(seen.transpose(1, 2).unflatten(2, x.shape[2:]))


class Down(nn.Module):
    """Half the height and width, and half the frames after the first."""

    def __init__(self, width: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": Conv2d(width, width, 3)})
        self.time_conv = Conv(width, width, 3, 1) if time else None

    def forward(self, x: torch.Tensor, frames: int) -> tuple[torch.Tensor, int]:
        x = self.resample["1"](F.pad(x, (0, 1, 0, 1)), stride=2)
        if self.time_conv is None:
            return x, frames
        video = x.unflatten(0, (-1, frames))
        weight, bias = self.time_conv.weight.to(x.dtype), self.time_conv.bias.to(x.dtype)
        triples = torch.cat((video[:, :-2:2], video[:, 1:-1:2], video[:, 2::2]), dim=2)
        kernel = weight.transpose(1, 2).flatten(1, 2)
        count = triples.shape[1]
        later = F.conv2d(triples.flatten(0, 1), kernel, bias).unflatten(0, (-1, count))
        return torch.cat((video[:, :1], later), dim=1).flatten(0, 1), count + 1


class Up(nn.Module):
    """Twice the height and width, half the channels, and twice the frames after the first."""

    def __init__(self, width: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": Conv2d(width, width // 2, 3)})
        self.time_conv = Conv(width, 2 * width, 3, 1) if time else None

    def forward(self, x: torch.Tensor, frames: int) -> tuple[torch.Tensor, int]:
        if self.time_conv is not None:
            video = x.unflatten(0, (-1, frames))
            doubled = self.time_conv(video[:, 1:].flatten(0, 1), frames - 1)
            doubled = doubled.unflatten(1, (2, -1)).flatten(0, 1)  # each frame's two halves in turn
            later = doubled.unflatten(0, (-1, 2 * (frames - 1)))
            x = torch.cat((video[:, :1], later), dim=1).flatten(0, 1)
            frames = 2 * frames - 1
        x = F.interpolate(x, scale_factor=2.0, mode="nearest-exact")
        return self.resample["1"](x, padding=1), frames


class Encoder(nn.Module):
    """Pictures to latents, before the last 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * multiple for multiple in (1, *MULTIPLES)]
        self.conv1 = Conv(3, widths[0], 3, 3)
        steps: list[nn.Module] = []
        for stage, (width_in, width) in enumerate(pairwise(widths)):
            steps += [Residual(width_in, width), Residual(width, width)]
            if stage < len(TIME_DOWN):
                steps.append(Down(width, time=TIME_DOWN[stage]))
        self.downsamples = nn.ModuleList(steps)
        last = widths[-1]
        self.middle = nn.ModuleList([Residual(last, last), Attention(last), Residual(last, last)])
        self.head = nn.ModuleDict({"0": Norm(last), "2": Conv(last, 2 * Z_DIM, 3, 3)})

    def forward(self, x: torch.Tensor, frames: int) -> tuple[torch.Tensor, int]:
        x = self.conv1(x, frames)
        for step in self.downsamples:
            if isinstance(step, Down):
                x, frames = step(x, frames)
            else:
                x = step(x, frames)
        x = self.middle[2](self.middle[1](self.middle[0](x, frames)), frames)
        return self.head["2"](self.head["0"](x), frames), frames


class Decoder(nn.Module):
    """Latents to pictures, after the first 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * multiple for multiple in (MULTIPLES[-1], *MULTIPLES[::-1])]
        self.conv1 = Conv(Z_DIM, widths[0], 3, 3)
        self.middle = nn.ModuleList(
            [Residual(widths[0], widths[0]), Attention(widths[0]), Residual(widths[0], widths[0])]
        )
        steps: list[nn.Module] = []
        for stage, (entering, width) in enumerate(pairwise(widths)):
            width_in = entering // 2 if stage else entering
            steps += [Residual(width_in, width), Residual(width, width), Residual(width, width)]
            if stage < len(TIME_DOWN):
                steps.append(Up(width, time=TIME_DOWN[::-1][stage]))
        self.upsamples = nn.ModuleList(steps)
        self.head = nn.ModuleDict({"0": Norm(widths[-1]), "2": Conv(widths[-1], 3, 3, 3)})

    def forward(self, x: torch.Tensor, frames: int) -> tuple[torch.Tensor, int]:
        x = self.conv1(x, frames)
        x = self.middle[2](self.middle[1](self.middle[0](x, frames)), frames)
        for step in self.upsamples:
            if isinstance(step, Up):
                x, frames = step(x, frames)
            else:
                x = step(x, frames)
        return self.head["2"](self.head["0"](x), frames), frames


class PlainVae(nn.Module):
    """The whole VAE: videos (B, T, 3, H, W) in -1..1, raw latents (B, T, 16, H / 8, W / 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.conv1, self.conv2 = Conv(2 * Z_DIM, 2 * Z_DIM, 1, 1), Conv(Z_DIM, Z_DIM, 1, 1)

    def encode(self, video: torch.Tensor) -> torch.Tensor:
        frames = video.shape[1]
        x = video.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x, frames = self.encoder(x, frames)
        return self.conv1(x, frames)[:, :Z_DIM].unflatten(0, (-1, frames))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        frames = latents.shape[1]
        x = latents.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x, frames = self.decoder(self.conv2(x, frames), frames)
        return x.unflatten(0, (-1, frames))
