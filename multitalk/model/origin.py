"""Whose weights a model file holds, as far as that can be known, and whose windows go with it.

InfiniteTalk's, MultiTalk's, FlashTalk's and SkyReels' weights have the same names and shapes. The first two
are published as audio weights alone, for any Wan 2.1; the others as a whole transformer with its audio
weights inside, which were trained together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...wanvideo.checkpoint_kind import CheckpointDescription
from ...wanvideo.errors import CheckpointError
from ...wanvideo.header import CheckpointHeader
from .checkpoint import TalkMode, mode_from_name

WHOLE_MODES: tuple[TalkMode, ...] = ("flashtalk", "skyreels")
"""Whose audio weights were trained with the transformer that they come in."""

PUBLISHED_AS: Mapping[TalkMode, str] = {
    "infinitetalk": "InfiniteTalk",
    "multitalk": "MultiTalk",
    "flashtalk": "SoulX-FlashTalk",
    "skyreels": "SkyReels-V3-A2V",
}


@dataclass(frozen=True, slots=True)
class TalkOrigin:
    """What is known of whose weights a file holds.

    Attributes:
        file_name: the file's name, or its folder's, for messages.
        mode: whose they are; None where neither name nor config says it.
        is_named: its name says so; else its config does, if anything.
        is_whole: the file holds the transformer too.
    """

    file_name: str
    mode: TalkMode | None
    is_named: bool
    is_whole: bool

    @property
    def shown_by(self) -> str:
        """What says whose they are, for messages."""
        return "its name" if self.is_named else "its config.json"


def origin_of(header: CheckpointHeader, description: CheckpointDescription) -> TalkOrigin:
    """Whose weights the file with this header holds; its name counts before its config."""
    is_whole, name = description.wan is not None, header.file_name
    named = mode_from_name(name)
    return TalkOrigin(name, named or mode_from_config(header.config), named is not None, is_whole)


def mode_from_config(config: Mapping[str, Any]) -> TalkMode | None:
    """Whose config a model folder has; None for Wan's own, which says nothing of audio.

    SkyReels' differs from FlashTalk's in naming no `weight_init`.
    """
    if "audio_window" not in config:
        return None
    return "flashtalk" if "weight_init" in config else "skyreels"


def check_mode(mode: TalkMode, talk: TalkOrigin) -> None:
    """Refuse windows that the weights were surely not trained for.

    Raises:
        CheckpointError: a whole model's windows with the audio weights of another, or the other way.
    """
    if talk.mode is None and (mode not in WHOLE_MODES or talk.is_whole):
        return
    if talk.mode == mode or not {mode, talk.mode} & set(WHOLE_MODES):
        return
    wanted = PUBLISHED_AS[mode]
    if talk.mode is None:
        raise CheckpointError(
            f"`{talk.file_name}` holds audio weights alone, but {wanted}, whose windows mode {mode} makes, "
            "is a whole model. Choose its folder or its file as base_model and `in the base model` as "
            "talk_model, or another mode."
        )
    raise CheckpointError(
        f"`{talk.file_name}` is {PUBLISHED_AS[talk.mode]} by {talk.shown_by}, but mode {mode} makes the "
        f"windows of {wanted}. Choose mode auto or {talk.mode}, or a file of {wanted}; give a file that has "
        "another model's name its own."
    )
