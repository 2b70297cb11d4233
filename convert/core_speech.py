"""The speech of ComfyUI's own InfiniteTalk nodes."""

from dataclasses import dataclass

from .constants import constant
from .core_chain import TALK, Part
from .errors import ConvertError
from .settings import account_for
from .source import Link, SourceNode
from .speech import encode_speech, make_speakers, say_unknown_sound
from .work import Work

ENCODE, LOADER = "AudioEncoderEncode", "AudioEncoderLoader"
TWO = "two_speakers"
SECOND = "mode.audio_encoder_output_2"
MASKS = ("mode.mask_1", "mode.mask_2")


@dataclass(frozen=True, slots=True)
class CoreSpeech:
    """What a video's speakers say.

    Attributes:
        embeds: the encoded speech.
        sounds: where the sound of each speaker comes from in the workflow that is converted.
    """

    embeds: Link
    sounds: tuple[Link, ...]


def core_speech(work: Work, part: Part, picture: Link | None) -> CoreSpeech:
    """The speech that a part is given: of one speaker, or of two one after the other.

    Raises:
        ConvertError: there is none, or it is of another kind.
    """
    talk = part.talk
    is_two = constant(work, talk.inputs.get("mode")) == TWO
    names = ["audio_encoder_output_1", *([SECOND] if is_two and talk.link(SECOND) else [])]
    encoded = [work.needed(talk, name, ENCODE, (ENCODE,)) for name in names]
    for node in encoded:
        if node.kind != ENCODE:
            raise ConvertError(f"{node.name}: expected {ENCODE} where {TALK} gets its speech")
        account_for(work, node, ("audio_encoder", "audio"))
    sounds = tuple(_sound(node) for node in encoded)
    made = [_made(work, node, sound) for node, sound in zip(encoded, sounds, strict=True)]
    encoder = _encoder(work, encoded)
    masks = [mask for mask in (work.follow(talk.link(name)) for name in MASKS) if mask is not None]
    if not is_two or len(made) == 1:
        embeds = encode_speech(work, encoder, made[0], None, loudness=False)
    else:
        if len(masks) < len(MASKS):
            work.changed(talk, "without masks the first two speakers are the left and the right half")
        pair = masks if len(masks) == len(MASKS) else []
        speakers = make_speakers(work, made, pair, picture, "add")
        embeds = encode_speech(work, encoder, None, speakers, loudness=False)
    work.changed(
        encoded[0],
        "loudness is off in EverTalk Audio Embeds, for ComfyUI encodes sounds as loud as they are; the "
        "weights were trained with it on",
    )
    return CoreSpeech(embeds, sounds)


def is_heard(work: Work, link: Link | None, sounds: tuple[Link, ...]) -> bool:
    """Whether a sound of the workflow is the one that the video will have."""
    if len(sounds) == 1:
        return link == sounds[0]
    node = work.node_of(link)
    if node is None or node.kind != "AudioConcat":
        return False
    joined = (node.link("audio1"), node.link("audio2"))
    return (joined if node.text("direction", "after") == "after" else joined[::-1]) == sounds


def _sound(node: SourceNode) -> Link:
    link = node.link("audio")
    if link is None:
        raise ConvertError(
            f"{node.name}: nothing is connected to audio; connect Load Audio and convert again"
        )
    return link


def _made(work: Work, node: SourceNode, sound: Link) -> Link | None:
    made = work.follow(sound)
    if made is None:
        say_unknown_sound(work, node, "audio")
    return made


def _encoder(work: Work, encoded: list[SourceNode]) -> str:
    loaders = [work.needed(node, "audio_encoder", LOADER, (LOADER,)) for node in encoded]
    names = [loader.text("audio_encoder_name") for loader in loaders]
    if len(set(names)) > 1:
        work.lost(loaders[1], f"{names[1]}: both speakers are encoded by {names[0]}")
    return work.file("EverTalkAudioEncoderLoader", "encoder", names[0], loaders[0])
