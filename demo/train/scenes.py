"""Random clips of the world for training, drawn where the generator is.

Shape letters: N clips, S people, F frames, V voices, T frames of a track.
"""

from dataclasses import dataclass

import torch
from world.draw import Cut, Pose, draw
from world.people import HEIGHT_PX, MAX_PEOPLE, People, Stage, make_people, make_stage
from world.poses import swaying

PAIR_SHARE = 0.35
"""Of the scenes, those with two people."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Everyone that clips are made of.

    Attributes:
        people: rows with one person first, then those with two.
        stage: what is behind them.
        pairs: how many rows at the end have two people.
        law_VT2: opening and narrowness of each voice's mouth.
    """

    people: People
    stage: Stage
    pairs: int
    law_VT2: torch.Tensor

    @property
    def scenes(self) -> int:
        """How many rows."""
        return len(self.stage.top_N3)


def make_cast(seed: int, scenes: int, law_VT2: torch.Tensor, device: torch.device) -> Cast:
    """Make up everyone."""
    pairs = round(PAIR_SHARE * scenes)
    single, double = make_people(seed, scenes - pairs, 1), make_people(seed + 1, pairs, MAX_PEOPLE)
    people = People(*(torch.cat([getattr(single, name), getattr(double, name)]) for name in People.__slots__))
    return Cast(people.to(device), make_stage(seed + 2, scenes).to(device), pairs, law_VT2.to(device))


@dataclass(frozen=True, slots=True)
class Parts:
    """Who says what: all (N, S) indices.

    Attributes:
        voice_NS: rows of the law.
        start_NS: first frames in the track.
    """

    voice_NS: torch.Tensor
    start_NS: torch.Tensor


def random_parts(cast: Cast, count: int, frames: int, generator: torch.Generator) -> Parts:
    """Any voice from any place on for everyone."""
    voices, length, _ = cast.law_VT2.shape
    shape, device = (count, MAX_PEOPLE), generator.device
    voice = torch.randint(voices, shape, generator=generator, device=device)
    return Parts(voice, torch.randint(length - frames + 1, shape, generator=generator, device=device))


def pose_of(cast: Cast, parts: Parts, frames: int, generator: torch.Generator) -> Pose:
    """Mouths after the law, and random swaying and blinking."""
    places_NSF = parts.start_NS[..., None] + torch.arange(frames, device=generator.device)
    law_NSF2 = cast.law_VT2[parts.voice_NS[..., None], places_NSF]
    return swaying(generator, law_NSF2[..., 0], law_NSF2[..., 1])


def random_cut(count: int, size_px: int, generator: torch.Generator) -> Cut:
    """A part of each picture, anywhere."""
    corner = torch.rand(2, count, generator=generator, device=generator.device) * (HEIGHT_PX - size_px)
    return Cut(corner[0].round(), corner[1].round(), size_px)


def random_clips(
    cast: Cast, count: int, frames: int, size_px: int, generator: torch.Generator
) -> torch.Tensor:
    """Clips (N, F, 3, size, size), values 0..1, of random people."""
    scenes_N = torch.randint(cast.scenes, (count,), generator=generator, device=generator.device)
    pose = pose_of(cast, random_parts(cast, count, frames, generator), frames, generator)
    return draw(cast.people[scenes_N], cast.stage[scenes_N], pose, random_cut(count, size_px, generator))
