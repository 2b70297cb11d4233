"""The speech: encoder, sounds, who says what, and how long the video is."""

from collections.abc import Sequence
from dataclasses import dataclass

from .constants import constant, number
from .errors import ConvertError
from .foreign import trim_audio
from .settings import FPS, account_for, frame_rate
from .source import Link, SourceNode
from .widgets import names_of
from .work import Work

DOWNLOADED = "TencentGameMate/chinese-wav2vec2-base"
ENCODER = "wav2vec2-chinese-base_fp16.safetensors"
"""The file with the weights that DownloadAndLoadWav2VecModel fetches."""

SILENCE_RATE_HZ = 16000
LETTERS = "abcd"
ENCODER_LOADERS = ("Wav2VecModelLoader", "DownloadAndLoadWav2VecModel")
EMBEDS, SILENT = "MultiTalkWav2VecEmbeds", "MultiTalkSilentEmbeds"


@dataclass(frozen=True, slots=True)
class Speech:
    """What the sampler hears.

    Attributes:
        embeds: the encoded speech.
        audio_scale: guidance by the speech.
    """

    embeds: Link
    audio_scale: float


def speech_of(work: Work, sampler: SourceNode, picture: Link | None) -> Speech:
    """The speech that a sampler is given.

    Raises:
        ConvertError: there is none, or it is of another kind.
    """
    node = work.needed(sampler, "multitalk_embeds", EMBEDS, (EMBEDS, SILENT))
    if node.kind == SILENT:
        return Speech(encode_speech(work, ENCODER, _silence(work, node), None, loudness=True), 1.0)
    if node.kind != EMBEDS:
        raise ConvertError(f"{node.name}: expected {EMBEDS} or {SILENT} at the sampler's multitalk_embeds")
    voices = [name for name in (f"audio_{index}" for index in range(1, 5)) if node.link(name)]
    if not voices:
        raise ConvertError(
            f"{node.name}: no sound is connected to audio_1; connect Load Audio and convert again"
        )
    _account(work, node, set(voices))
    duration_s = _duration_s(work, node)
    sounds = [_sound(work, node, name, duration_s) for name in voices]
    masks = _masks(work, node, len(sounds))
    encoder, loudness = _encoder(work, node), node.inputs.get("normalize_loudness", True) is not False
    if len(sounds) == 1 and not masks:
        embeds = encode_speech(work, encoder, sounds[0], None, loudness=loudness)
    else:
        if len(sounds) > 1 and not masks:
            work.changed(node, "without masks the first two speakers are the left and the right half")
        speakers = make_speakers(work, sounds, masks, picture, node.text("multi_audio_type", "para"))
        embeds = encode_speech(work, encoder, None, speakers, loudness=loudness)
    work.know(Link(node.id, 1), Link(embeds.node, 1))
    work.know(Link(node.id, 2), Link(embeds.node, 2))
    return Speech(embeds, number(work, node, "audio_cfg_scale", 1.0))


def _account(work: Work, node: SourceNode, voices: set[str]) -> None:
    carried = names_of("wav2vec_model normalize_loudness num_frames fps audio_cfg_scale multi_audio_type")
    account_for(work, node, {*carried, *voices, "ref_target_masks"})
    frame_rate(work, node, "fps")


def _duration_s(work: Work, node: SourceNode) -> float | None:
    """How long the video may be at most; None where only a run would tell."""
    frames = constant(work, node.inputs.get("num_frames"))
    if isinstance(frames, int | float):
        duration_s = frames / number(work, node, "fps", FPS)
        work.changed(
            node,
            f"num_frames {frames:g} becomes a cut of the sound to {duration_s:g} s; take it out and the "
            "video lasts as long as the speech",
        )
        return duration_s
    work.changed(node, "num_frames is computed by other nodes: the video lasts as long as the speech")
    return None


def _sound(work: Work, node: SourceNode, name: str, duration_s: float | None) -> Link | None:
    """A speaker's sound; None, and a remark, where it is not known."""
    sound = work.follow(node.link(name))
    if sound is None:
        say_unknown_sound(work, node, name)
        return None
    return sound if duration_s is None else trim_audio(work, sound, 0.0, duration_s)


def say_unknown_sound(work: Work, node: SourceNode, name: str) -> None:
    """Say that a speaker's sound was left unconnected, and why."""
    giver = work.node_of(node.link(name))
    label = giver.name if giver else "a node that does not run"
    work.lost(node, f"{name} ({label}): what gives its sound is not known here; connect Load Audio")


def _silence(work: Work, node: SourceNode) -> Link:
    duration_s = number(work, node, "num_frames", 81) / FPS
    inputs = {"duration": duration_s, "sample_rate": SILENCE_RATE_HZ, "channels": 1}
    return Link(work.add("EmptyAudio", "Silence", inputs), 0)


def _encoder(work: Work, node: SourceNode) -> str:
    loader = work.needed(node, "wav2vec_model", "Wav2vec2 Model Loader", ENCODER_LOADERS)
    account_for(work, loader, {"model"})
    name = loader.text("model")
    if loader.kind != "DownloadAndLoadWav2VecModel":
        return work.file("EverTalkAudioEncoderLoader", "encoder", name, loader)
    if name != DOWNLOADED:
        work.lost(loader, f"{name}: InfiniteTalk and MultiTalk know chinese-wav2vec2-base alone; it is used")
    work.changed(
        loader, f"nothing is downloaded: put {ENCODER} into models/audio_encoders or models/wav2vec2"
    )
    return work.file("EverTalkAudioEncoderLoader", "encoder", ENCODER, loader)


def encode_speech(
    work: Work, encoder: str, sound: Link | None, speakers: Link | None, *, loudness: bool
) -> Link:
    """EverTalk Audio Embeds of one sound or of speakers."""
    loader = work.add("EverTalkAudioEncoderLoader", "EverTalk Audio Encoder Loader", {"encoder": encoder})
    inputs = {"audio_encoder": Link(loader, 0), "audio": sound, "speakers": speakers, "loudness": loudness}
    return Link(work.add("EverTalkAudioEmbeds", "EverTalk Audio Embeds", inputs), 0)


def make_speakers(
    work: Work, sounds: Sequence[Link | None], masks: list[Link], picture: Link | None, arrangement: str
) -> Link:
    """EverTalk Speakers of some sounds, with a mask for each or none."""
    inputs: dict[str, object] = {
        f"audio_{letter}": sound for letter, sound in zip(LETTERS, sounds, strict=False)
    }
    inputs |= {f"mask_{letter}": mask for letter, mask in zip(LETTERS, masks, strict=False)}
    inputs |= {"start_image": picture, "arrangement": arrangement, "timeline": "", "boxes": ""}
    return Link(work.add("EverTalkSpeakers", "EverTalk Speakers", inputs), 0)


def _masks(work: Work, node: SourceNode, num_speakers: int) -> list[Link]:
    """A mask for each speaker."""
    link = node.link("ref_target_masks")
    if link is None:
        return []
    source = work.node_of(link)
    if source is not None and source.kind == "MaskBatchMulti" and not work.host.has(source.kind):
        given = [work.follow(source.link(f"mask_{index}")) for index in range(1, num_speakers + 2)]
        masks = [mask for mask in given if mask is not None]
    else:
        batch = work.follow(link)
        masks = [] if batch is None else [_one_of(work, batch, index) for index in range(num_speakers)]
    if not masks:
        work.lost(node, "ref_target_masks: what gives the masks is not known here")
    if len(masks) > num_speakers:
        work.needless(node, "the mask of the background: it is what no speaker's mask covers")
    return masks[:num_speakers]


def _one_of(work: Work, batch: Link, index: int) -> Link:
    """One mask of a batch, through ComfyUI's own nodes."""
    pictures = Link(work.add("MaskToImage", "Masks as pictures", {"mask": batch}), 0)
    inputs = {"image": pictures, "batch_index": index, "length": 1}
    picture = Link(work.add("ImageFromBatch", f"Mask {index + 1}", inputs), 0)
    return Link(work.add("ImageToMask", f"Mask {index + 1}", {"image": picture, "channel": "red"}), 0)
