"""Cartoon people and what is behind them, made up from a seed.

All are batches: shape letters N scenes, S people of a scene.
"""

from dataclasses import dataclass, fields

import torch

HEIGHT_PX = 128
"""Height and width of the pictures of this world."""

MOUTH_COLOUR = (0.78, 0.06, 0.24)
"""Inside of every open mouth; nothing else has this colour, so that pixels tell how far a mouth is open."""

MAX_PEOPLE = 2


@dataclass(frozen=True, slots=True)
class People:
    """Who is in the pictures; lengths in pixels, colours 0..1.

    Attributes:
        x_NS: column of the face's middle; people who are not there stand far outside.
        y_NS: row of the face's middle.
        width_NS: half the face's width.
        height_NS: half the face's height.
        eye_apart_NS: distance of an eye from the face's middle, in half widths.
        eye_size_NS: radius of an eye, in half widths.
        mouth_low_NS: how far below the middle the mouth is, in half heights.
        mouth_wide_NS: half the mouth's width, in half widths.
        hair_NS: how far the hair reaches over the face, in half heights.
        skin_NS3: colour.
        hair_NS3: colour.
        shirt_NS3: colour.
        iris_NS3: colour.
    """

    x_NS: torch.Tensor
    y_NS: torch.Tensor
    width_NS: torch.Tensor
    height_NS: torch.Tensor
    eye_apart_NS: torch.Tensor
    eye_size_NS: torch.Tensor
    mouth_low_NS: torch.Tensor
    mouth_wide_NS: torch.Tensor
    hair_NS: torch.Tensor
    skin_NS3: torch.Tensor
    hair_NS3: torch.Tensor
    shirt_NS3: torch.Tensor
    iris_NS3: torch.Tensor

    def to(self, device: torch.device) -> "People":
        """The same people elsewhere."""
        return People(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def __getitem__(self, scenes: torch.Tensor) -> "People":
        """The people of some scenes."""
        return People(**{field.name: getattr(self, field.name)[scenes] for field in fields(self)})


@dataclass(frozen=True, slots=True)
class Stage:
    """What is behind the people.

    Attributes:
        top_N3: colour at the top.
        bottom_N3: colour at the bottom.
        disc_N3: colour of a large disc.
        disc_place_N3: its column, row and radius.
    """

    top_N3: torch.Tensor
    bottom_N3: torch.Tensor
    disc_N3: torch.Tensor
    disc_place_N3: torch.Tensor

    def to(self, device: torch.device) -> "Stage":
        """The same stage elsewhere."""
        return Stage(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def __getitem__(self, scenes: torch.Tensor) -> "Stage":
        """The stages of some scenes."""
        return Stage(**{field.name: getattr(self, field.name)[scenes] for field in fields(self)})


def make_people(seed: int, scenes: int, people: int) -> People:
    """People for `scenes` pictures with `people` (1 or 2) each; the tensors always hold MAX_PEOPLE."""
    assert people in (1, MAX_PEOPLE), f"{people} people"
    generator = torch.Generator().manual_seed(seed)
    shape = (scenes, MAX_PEOPLE)

    def between(low: float, high: float, *more: int) -> torch.Tensor:
        return low + (high - low) * torch.rand((*shape, *more), generator=generator)

    if people == 1:
        x, width = between(50, 78), between(26, 38)
        x[:, 1] = -10 * HEIGHT_PX
    else:
        x, width = between(-3, 3) + torch.tensor([32.0, 96.0]), between(19, 25)
    height = width * between(1.1, 1.3)
    brightness, warmth = between(0.5, 1.0, 1), between(0.62, 0.85, 1)
    skin = torch.cat([brightness, brightness * warmth, brightness * warmth * between(0.6, 0.95, 1)], dim=-1)
    return People(
        x_NS=x,
        y_NS=between(54, 68),
        width_NS=width,
        height_NS=height,
        eye_apart_NS=between(0.36, 0.46),
        eye_size_NS=between(0.17, 0.23),
        mouth_low_NS=between(0.44, 0.54),
        mouth_wide_NS=between(0.38, 0.5),
        hair_NS=between(0.25, 0.55),
        skin_NS3=skin,
        hair_NS3=_colours(between(0, 1, 3), 0.1, 0.75),
        shirt_NS3=_colours(between(0, 1, 3), 0.2, 0.85),
        iris_NS3=_colours(between(0, 1, 3), 0.05, 0.4),
    )


def make_stage(seed: int, scenes: int) -> Stage:
    """Backgrounds for `scenes` pictures."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(3, scenes, 3, generator=generator)
    place = torch.rand(scenes, 3, generator=generator) * torch.tensor([128.0, 70.0, 25.0])
    return Stage(
        top_N3=_colours(colours[0], 0.35, 0.95),
        bottom_N3=_colours(colours[1], 0.25, 0.9),
        disc_N3=_colours(colours[2], 0.4, 1.0),
        disc_place_N3=place + torch.tensor([0.0, 0.0, 12.0]),
    )


def _colours(random_X3: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Colours that no mouth has: red is never far above green."""
    red, green, blue = (low + (high - low) * random_X3).unbind(-1)
    return torch.stack([torch.minimum(red, green + 0.25), green, blue], dim=-1)
