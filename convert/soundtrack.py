"""What is heard in a video whose sound is another than what the speech encoder hears."""

from .source import Link, SourceNode
from .work import Work

SOUNDTRACK = "soundtrack"


def set_soundtrack(work: Work, node: SourceNode, embeds: Link, audio: Link | None) -> None:
    """Have EverTalk's video sound as the video there, and say so.

    Args:
        work: the conversion.
        node: what gave the video its sound.
        embeds: the encoded speech, made already.
        audio: the sound, made already; None where it is not known here.
    """
    inputs = work.made[embeds.node]["inputs"]
    if SOUNDTRACK not in inputs and audio is not None and not _needs(work, audio.node, embeds.node):
        work.set(embeds.node, SOUNDTRACK, audio)
    if audio is not None and inputs.get(SOUNDTRACK) == [audio.node, audio.slot]:
        work.changed(
            node,
            "its audio is another than what the speech encoder hears: it becomes the soundtrack of EverTalk "
            "Audio Embeds, as long as the speech",
        )
        return
    work.changed(
        node,
        "its audio is another than what the speech encoder hears; the video has the latter. For the other "
        "connect images of EverTalk Decode and that audio to Create Video, and it to Save Video",
    )


def _needs(work: Work, made: str, other: str) -> bool:
    """Whether a node that was made is another one, or gets something from it."""
    if made == other:
        return True
    links = [value for value in work.made[made]["inputs"].values() if isinstance(value, list)]
    return any(_needs(work, str(link[0]), other) for link in links)
