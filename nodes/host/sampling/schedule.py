"""From a schedule's text to what windows are sampled with."""

from collections.abc import Callable
from typing import Any

import torch

from ....multitalk.common.errors import InputError
from ....multitalk.windows.picture import checked_picture
from ....multitalk.windows.plan import Window
from ....multitalk.windows.prompt_timeline import Keyframe, PromptTimeline, cue_at, first_new_s
from ....multitalk.windows.schedule_text import parse_image_schedule, parse_schedule
from ..codecs.kept import KEPT, PROMPT, encoder_of
from .comfy_backend import HostConditioning, Prompt

PROMPTS = "prompts"
PICTURE_TIMES = "picture_times"
ANY_NUMBER = 10**9


def check_texts(prompts: str, picture_times: str) -> None:
    """Read both texts as far as that goes without the pictures.

    Raises:
        InputError: points at the character that is wrong.
    """
    if prompts.strip():
        parse_schedule(prompts, PROMPTS)
    if picture_times.strip():
        parse_image_schedule(picture_times, ANY_NUMBER, PICTURE_TIMES)


def scheduled_pictures(pictures_BHWC: torch.Tensor | None, times: str) -> tuple[Keyframe[torch.Tensor], ...]:
    """The pictures and from when each holds; of one picture without times, from the beginning.

    Raises:
        InputError: times without pictures, several pictures without times, or a number that none has.
    """
    if pictures_BHWC is None:
        if times.strip():
            raise InputError(
                f"{PICTURE_TIMES}: {times.strip()!r}, but no pictures are connected. Connect an IMAGE batch "
                f"to pictures, or empty {PICTURE_TIMES}."
            )
        return ()
    count = len(pictures_BHWC)
    if not times.strip():
        raise InputError(
            f"{PICTURE_TIMES}: empty, but {count} pictures are connected. Write from when each is shown, for "
            f"instance 0s: 1; 12.5s: {min(2, count)}."
        )
    return tuple(
        Keyframe(start_s, pictures_BHWC[index, ..., :3].float())
        for start_s, index in parse_image_schedule(times, count, PICTURE_TIMES)
    )


def check_end_image(end_BHWC: object) -> None:
    """Refuse what is not a picture, before a text encoder or weights load.

    Raises:
        InputError: says what came.
    """
    if end_BHWC is not None:
        checked_picture(end_BHWC, "end_image")


def encoded_prompts(clip: Any, prompts: str) -> tuple[Keyframe[HostConditioning], ...]:
    """The prompts of a schedule, each through the text encoder; a prompt that returns is encoded once.

    Raises:
        InputError: prompts without a text encoder, or a text that is not a schedule.
    """
    if not prompts.strip():
        return ()
    entries = parse_schedule(prompts, PROMPTS)
    if clip is None:
        raise InputError(
            f"clip: nothing is connected, but {PROMPTS} has {len(entries)} to encode. Connect Load CLIP with "
            f"umt5-xxl (type wan), or empty {PROMPTS}."
        )
    texts = dict.fromkeys(entry.text for entry in entries)
    encoded = {text: encoded_prompt(clip, text) for text in texts}
    return tuple(Keyframe(entry.start_s, encoded[entry.text]) for entry in entries)


def encoded_prompt(clip: Any, text: str) -> HostConditioning:
    """A prompt through the text encoder, or as it was kept from before."""
    tokens = clip.tokenize(text)
    settings = [getattr(clip, name, None) for name in ("layer_idx", "use_clip_schedule")]
    # Hooks for the sampler ride on the encoding and belong to one workflow.
    is_plain = getattr(clip, "apply_hooks_to_conds", None) is None
    encoder = encoder_of(getattr(clip, "patcher", None), *settings) if is_plain else None
    return KEPT.recall(encoder, tokens, lambda: clip.encode_from_tokens_scheduled(tokens), PROMPT)


def prompts_of(
    positive: HostConditioning | None,
    schedule: PromptTimeline | None,
    has_own: Callable[[Window], bool] = lambda _window: False,
) -> Prompt:
    """A window's prompt: the schedule's, if it has any, else the sampler's own; `has_own` always has that."""
    if schedule is not None and schedule.prompts:
        prompts = schedule.prompts

        def prompt(window: Window) -> HostConditioning:
            own = positive if has_own(window) else None
            return cue_at(prompts, first_new_s(window)).value if own is None else own

        return prompt
    assert positive is not None, "the sampler has looked"
    return lambda _window: positive
