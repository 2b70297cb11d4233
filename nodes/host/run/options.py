"""The sampler's optional settings sockets as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ....multitalk.common.errors import InputError
from ....multitalk.dubbing.clip import DubSource
from ....multitalk.model.guidance import GuidanceSettings
from ....multitalk.windows.finish import LookSettings
from ....multitalk.windows.prompt_timeline import PromptTimeline

SOURCES: dict[str, tuple[type, str]] = {
    "guidance": (GuidanceSettings, "EverTalk Guidance"),
    "schedule": (PromptTimeline, "EverTalk Schedule"),
    "look": (LookSettings, "EverTalk Look"),
    "source": (DubSource, "EverTalk Video Source"),
}
"""For each socket what it carries, and the node that makes it."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the optional sockets give; None where nothing is connected.

    Attributes:
        guidance: replaces the sampler's own scales.
        schedule: prompts and pictures over time.
        look: colour, joins and camera.
        source: a clip that is given other speech.
    """

    guidance: GuidanceSettings | None = None
    schedule: PromptTimeline | None = None
    look: LookSettings | None = None
    source: DubSource | None = None

    def __post_init__(self) -> None:
        for name, (kind, node) in SOURCES.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InputError(f"{name}: {type(value).__name__}, expected {kind.__name__}. Connect {node}.")

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "RunOptions":
        """Pick the sockets out of what the host hands a node; one that is not connected is missing there."""
        return cls(**{field.name: inputs[field.name] for field in fields(cls) if field.name in inputs})

    def has_same_settings(self, other: "RunOptions") -> bool:
        """Whether the same objects are connected; the schedule, which comes last of all, is left out."""
        mine, others = ((one.guidance, one.look, one.source) for one in (self, other))
        return all(own is given for own, given in zip(mine, others, strict=True))

    @property
    def denoise(self) -> float:
        """How much of the way from noise to picture is gone: less than all where a clip is made over."""
        return 1.0 if self.source is None else self.source.denoise

    @property
    def has_prompts(self) -> bool:
        """Whether the schedule brings the prompts, so that the sampler's own is not needed."""
        return self.schedule is not None and bool(self.schedule.prompts)

    def guidance_instead_of(self, own: GuidanceSettings) -> tuple[GuidanceSettings, tuple[str, ...]]:
        """The guidance that is connected, with a note, or the sampler's own."""
        if self.guidance is None:
            return own, ()
        note = (
            f"guidance: text_scale {self.guidance.text_scale:g} and audio_scale "
            f"{self.guidance.audio_scale:g} from the socket; the sampler's own {own.text_scale:g} and "
            f"{own.audio_scale:g} are not used"
        )
        return self.guidance, (note,)
