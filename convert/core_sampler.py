"""ComfyUI's own InfiniteTalk nodes, a chain of parts of any length, as one EverTalk Sampler."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeAlias

from .constants import constant, number
from .core_chain import EARLIER, Part, upstream
from .core_model import core_model
from .core_sampling import sampling_of
from .core_speech import MASKS, SECOND, core_speech
from .errors import ConvertError
from .picture import clip_behind, fitted_picture
from .prompt import Prompts, prompt_schedule
from .sampler import MAX_WINDOW_FRAMES, PREFIX, Made, frame_size, say_open, vae_of
from .settings import account_for, one_after_fours
from .source import Link, SourceNode
from .widgets import names_of
from .work import Work

CARRIED = (
    *names_of(
        "mode model model_patch positive negative vae width height length clip_vision_output start_image "
        "audio_encoder_output_1 motion_frame_count"
    ),
    EARLIER,
    SECOND,
    *MASKS,
)
USUAL_LENGTH, USUAL_MOTION = 81, 9
Values: TypeAlias = dict[tuple[str, str], list[str]]

DRAWN = ("seed", "noise_seed")
"""Values that differ from part to part on purpose."""


@dataclass(frozen=True, slots=True)
class CoreMade:
    """What became of a chain.

    Attributes:
        parts: the chain.
        made: EverTalk's nodes.
        sounds: where its sounds come from in the workflow that is converted.
    """

    parts: tuple[Part, ...]
    made: Made
    sounds: tuple[Link, ...]


def convert_chain(work: Work, parts: list[Part]) -> CoreMade:
    """Make EverTalk's nodes for the parts of one video.

    Raises:
        ConvertError: something is not connected, or of another kind.
    """
    first = parts[0]
    talk = first.talk
    work.seen.add(talk.id)
    account_for(work, talk, CARRIED)
    picture = _picture(work, talk)
    speech = core_speech(work, first, picture)
    sampling = sampling_of(work, first)
    talking = core_model(work, first, sampling.model)
    windows = _windows(work, talk, len(parts))
    prompts = _prompts(work, parts)
    vae = vae_of(work, talk, "Load VAE")
    inputs: dict[str, object] = {
        "model": talking.model,
        "positive": prompts.positive,
        "negative": prompts.negative,
        "vae": vae,
        "audio_embeds": speech.embeds,
        "start_image": picture,
        "clip_vision_output": work.follow(talk.link("clip_vision_output")),
        "schedule": prompt_schedule(work, prompts, windows["window_frames"], windows["motion_frames"]),
        **frame_size(work, talk),
        **windows,
        **sampling.widgets,
        "shift": talking.shift,
        "audio_scale": 1.0,
        "output": "video",
        "filename_prefix": PREFIX,
    }
    sampler = work.add("EverTalkSampler", "EverTalk Sampler", inputs)
    decode = work.add("EverTalkDecode", "EverTalk Decode", {"samples": Link(sampler, 0), "vae": vae})
    for part in parts:
        for slot in (0, 1):
            work.know(Link(part.sampler.id, slot), Link(sampler, 0))
    _later_parts(work, parts)
    return CoreMade(tuple(parts), Made(sampler, decode, speech.embeds), speech.sounds)


def talk_output(work: Work, node: SourceNode, slot: int) -> Link | None:
    """What nodes beside its sampler take from the talk node has no counterpart."""
    names = ("model", "positive", "negative", "latent", "trim_image")
    work.lost(node, f"{names[slot]} is taken by other nodes than its sampler: it has no counterpart")
    return None


def _picture(work: Work, talk: SourceNode) -> Link | None:
    start = talk.link("start_image")
    if start is None:
        raise ConvertError(
            f"{talk.name}: nothing is connected to start_image; connect Load Image and convert again"
        )
    if clip_behind(work, start) is not None:
        work.lost(talk, "start_image is a clip: its first frame alone is taken")
    picture = fitted_picture(work, start)
    if picture is None:
        say_open(work, talk, "start_image", "Load Image to start_image of EverTalk Sampler")
    return picture


def _windows(work: Work, talk: SourceNode, num_parts: int) -> dict[str, int]:
    length = int(number(work, talk, "length", USUAL_LENGTH))
    motion = int(number(work, talk, "motion_frame_count", USUAL_MOTION))
    window = (min(length, MAX_WINDOW_FRAMES) - 1) // 4 * 4 + 1
    if window != length:
        work.changed(talk, f"length {length} becomes windows of {window} frames")
    fitting_motion = one_after_fours(work, talk, "motion_frame_count", motion)
    if num_parts > 1:
        work.changed(
            talk,
            f"{num_parts} parts that continue one another become one EverTalk Sampler, which makes as many "
            "windows as the speech lasts. For a shorter video cut the sound",
        )
    else:
        work.changed(
            talk,
            f"length {length} was the whole video; EverTalk's lasts as long as the speech. For a shorter one "
            "cut the sound",
        )
    return {"window_frames": window, "motion_frames": fitting_motion}


def _prompts(work: Work, parts: list[Part]) -> Prompts:
    """The prompt; where parts have others of their own, all of them, one a window."""
    talk = parts[0].talk
    positive = work.follow(talk.link("positive"))
    if positive is None:
        raise ConvertError(
            f"{talk.name}: what gives positive is not known here; connect CLIP Text Encode and convert again"
        )
    negative = work.follow(talk.link("negative"))
    texts = [_text(work, part, "positive") for part in parts]
    known = tuple(text for text in texts if text is not None)
    clip = _clip(work, talk)
    is_unknown = len(known) < len(texts) or clip is None
    negatives = [_text(work, part, "negative") for part in parts]
    for name, others in (("positive", texts[1:] if is_unknown else ()), ("negative", negatives[1:])):
        for part, text in zip(parts[1:], others, strict=False):
            if text != (texts if name == "positive" else negatives)[0]:
                work.lost(part.talk, f"{name}: another in a later part; the first part's is used")
    if is_unknown or len(set(known)) == 1:
        return Prompts(positive, negative)
    work.changed(talk, "the parts have prompts of their own: they become EverTalk Schedule")
    return Prompts(positive, negative, known, clip)


def _text(work: Work, part: Part, name: str) -> str | None:
    """The text of a prompt, if the node that encodes it holds it."""
    node = work.node_of(part.talk.link(name))
    text = constant(work, node.inputs.get("text")) if node and node.kind == "CLIPTextEncode" else None
    return text if isinstance(text, str) else None


def _clip(work: Work, talk: SourceNode) -> Link | None:
    node = work.node_of(talk.link("positive"))
    return None if node is None or node.kind != "CLIPTextEncode" else work.follow(node.link("clip"))


def _later_parts(work: Work, parts: list[Part]) -> None:
    """Say what later parts have that the first has not; the first's holds for all of them."""
    first, sides = _values(work, parts[0].sampler), _sides(work, parts[0])
    for part in parts[1:]:
        work.seen |= {node.id for node in upstream(work, part.sampler)}
        others = _sides(work, part)
        if any(one != other and one == other[::-1] for one, other in zip(sides, others, strict=True)):
            text = "the two speakers change places in a later part; they stay where they are in the first"
            work.lost(part.talk, text)
        later = _values(work, part.sampler)
        for key in sorted(later.keys() | first.keys()):
            kind, name = key
            if later.get(key) == first.get(key):
                continue
            if name in DRAWN:
                text = f"{name}: EverTalk Sampler draws the noise of every window from one seed"
                work.changed(part.sampler, text)
            elif name != "text":
                given = ", ".join(later.get(key, ["-"]))
                text = f"{kind}, {name}: {given} in a later part; the first part's value is used"
                work.lost(part.talk, text)


def _sides(work: Work, part: Part) -> list[list[Values]]:
    """What the speech and the mask of either speaker is made with."""
    pairs = (("audio_encoder_output_1", SECOND), MASKS)
    nodes = [[work.node_of(part.talk.link(name)) for name in pair] for pair in pairs]
    return [[{} if node is None else _values(work, node) for node in pair] for pair in nodes]


def _values(work: Work, last: SourceNode) -> Values:
    """The fixed values that something is made with, by class and field."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for node in upstream(work, last):
        for name, value in node.inputs.items():
            if value is not None and not isinstance(value, Link) and name != "control_after_generate":
                found[node.kind, name].append(str(value))
    return {key: sorted(values) for key, values in found.items()}
