"""Draws people with soft edges, on whatever device their tensors are.

Shape letters: N scenes, S people of a scene, F frames, C colours, H and W pixels.
"""

from dataclasses import dataclass

import torch

from .people import HEIGHT_PX, MAX_PEOPLE, MOUTH_COLOUR, People, Stage

SOFT_PX = 1.6
"""Width of an edge."""

MOUTH_REACH = 0.22
"""Half the height of a mouth that is open as far as it goes, in half heights of the face."""

NARROWING = 0.3
"""The part of its width that a mouth loses on a hiss."""

WHITE = (0.97, 0.97, 0.97)


@dataclass(frozen=True, slots=True)
class Pose:
    """How people hold themselves, frame by frame; each tensor is (N, S, F).

    Attributes:
        opening: of the mouth, 0..1.
        narrow: of the mouth, 0..1.
        eyes: 0 shut, 1 open.
        dx: how far the head is moved to the right, pixels.
        dy: how far the head is moved down, pixels.
    """

    opening: torch.Tensor
    narrow: torch.Tensor
    eyes: torch.Tensor
    dx: torch.Tensor
    dy: torch.Tensor


@dataclass(frozen=True, slots=True)
class Cut:
    """A square part of each picture.

    Attributes:
        left_N: first column.
        top_N: first row.
        size_px: height and width.
    """

    left_N: torch.Tensor
    top_N: torch.Tensor
    size_px: int


class Canvas:
    """Pictures (N, F, C, H, W) that soft ellipses are painted onto."""

    def __init__(self, stage: Stage, frames: int, cut: Cut) -> None:
        line = torch.arange(cut.size_px, device=stage.top_N3.device) + 0.5
        self.column = cut.left_N[:, None, None, None] + line
        self.row = cut.top_N[:, None, None, None] + line[:, None]
        fade = self.row[:, :, None] / HEIGHT_PX
        top, bottom = stage.top_N3[:, None, :, None, None], stage.bottom_N3[:, None, :, None, None]
        background = (top + (bottom - top) * fade).expand(-1, frames, -1, -1, cut.size_px)
        self.pixels = background.contiguous()
        place = stage.disc_place_N3[:, None, :, None, None]
        self.paint(place[:, :, 0], place[:, :, 1], place[:, :, 2], place[:, :, 2], stage.disc_N3[:, None])

    def paint(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        half_width: torch.Tensor,
        half_height: torch.Tensor,
        colour: torch.Tensor,
        strength: torch.Tensor | float = 1.0,
    ) -> None:
        """An ellipse; places and sizes are (N, 1 or F, 1, 1), the colour (N, 1, C)."""
        radius = (((self.column - x) / half_width) ** 2 + ((self.row - y) / half_height) ** 2).sqrt()
        inside_px = (1 - radius) * torch.minimum(half_width, half_height)
        share = (inside_px / SOFT_PX + 0.5).clamp(0, 1)
        share = share * share * (3 - 2 * share) * strength
        self.pixels = torch.lerp(self.pixels, colour[..., None, None], share[:, :, None])


def draw(people: People, stage: Stage, pose: Pose, cut: Cut | None = None) -> torch.Tensor:
    """Pictures (N, F, C, H, W), values 0..1; the whole ones, or what is cut out of them."""
    corner_N = stage.top_N3.new_zeros(len(stage.top_N3))
    canvas = Canvas(stage, pose.opening.shape[-1], cut or Cut(corner_N, corner_N, HEIGHT_PX))
    for person in range(MAX_PEOPLE):
        if bool((people.x_NS[:, person] > -HEIGHT_PX).any()):
            _draw_person(canvas, people, pose, person)
    return canvas.pixels


def _draw_person(canvas: Canvas, people: People, pose: Pose, person: int) -> None:
    def of(value_NS: torch.Tensor) -> torch.Tensor:
        return value_NS[:, person, None, None, None]

    def moving(value_NSF: torch.Tensor) -> torch.Tensor:
        return value_NSF[:, person, :, None, None]

    def coloured(value_NS3: torch.Tensor) -> torch.Tensor:
        return value_NS3[:, person, None]

    width, height = of(people.width_NS), of(people.height_NS)
    still_x, still_y = of(people.x_NS), of(people.y_NS)
    x, y = still_x + moving(pose.dx), still_y + moving(pose.dy)
    skin, hair = coloured(people.skin_NS3), coloured(people.hair_NS3)
    canvas.paint(still_x, still_y + 2.05 * height, 1.5 * width, 1.05 * height, coloured(people.shirt_NS3))
    canvas.paint(x, y - 0.12 * height, 1.12 * width, 1.1 * height, hair)
    canvas.paint(x, y, width, height, skin)
    canvas.paint(x, y - (1.3 - 0.5 * of(people.hair_NS)) * height, 1.05 * width, 0.55 * height, hair)
    for side in (-1, 1):
        eye_x, eye_y = x + side * of(people.eye_apart_NS) * width, y - 0.12 * height
        size = of(people.eye_size_NS) * width
        open_size = size * (0.12 + 0.88 * moving(pose.eyes))
        canvas.paint(eye_x, eye_y, size, open_size, coloured(people.iris_NS3).new_tensor(WHITE)[None, None])
        canvas.paint(eye_x, eye_y, 0.55 * size, 0.6 * open_size, coloured(people.iris_NS3))
    mouth_y = y + of(people.mouth_low_NS) * height
    mouth_width = of(people.mouth_wide_NS) * width * (1 - NARROWING * moving(pose.narrow))
    mouth_height = MOUTH_REACH * height * moving(pose.opening)
    canvas.paint(x, mouth_y, mouth_width + 1.5, mouth_height + 1.5, 0.55 * skin)
    inside = skin.new_tensor(MOUTH_COLOUR)[None, None]
    canvas.paint(x, mouth_y, mouth_width, mouth_height + 0.1, inside, mouth_height.clamp(0, 1))
