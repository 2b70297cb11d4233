"""EverTalkTextEmbeds: a prompt's encoding from or to a file."""

from typing import Any

from comfy_api.latest import io

from ..multitalk.common.errors import InputError
from .host.codecs.text_embeds import (
    Conditioning,
    find_text_embeds,
    list_text_embeds,
    load_text_embeds,
    save_text_embeds,
)
from .host.model.files import file_stamp
from .host.report.node import EverTalkNode
from .host.server.saving import ENCODE


class NotConnected:
    """What the conditioning input is when nothing is wired to it; None means not evaluated yet."""


NOT_CONNECTED = NotConnected()


class EverTalkTextEmbeds(EverTalkNode):
    """Loads prepared text embeddings, or saves those of a text encoder for later.

    Where it saves, EverTalkSaveTextEmbeds runs in its place (host/server/saving.py); what is here for that
    runs in hosts without a server.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkTextEmbeds",
            display_name="EverTalk Text Embeddings",
            description=(
                "Keeps the encoding of a prompt in a small file, so that the 11 GB text encoder is needed "
                "once a prompt and not at all on a server with a known prompt. Use one node for the positive "
                "and one for the negative prompt."
            ),
            inputs=[
                io.Combo.Input(
                    "file",
                    options=[ENCODE, *list_text_embeds()],
                    default=ENCODE,
                    tooltip=(
                        "A prepared prompt, from models/evertalk_text_embeds or, marked [output], from those "
                        f"saved. With a file chosen a connected text encoder is not run. '{ENCODE}': take "
                        "the conditioning instead and save it."
                    ),
                ),
                io.String.Input(
                    "save_as",
                    default="",
                    tooltip=(
                        "Name of the file to save the conditioning to, in output/evertalk_text_embeds. "
                        "Letters, digits, dot, underscore and hyphen. Empty when a file is chosen."
                    ),
                ),
                io.Conditioning.Input(
                    "conditioning",
                    optional=True,
                    lazy=True,
                    tooltip=(
                        "The encoded prompt to save, straight from a text encode node. Only evaluated when "
                        "no file is chosen."
                    ),
                ),
            ],
            outputs=[io.Conditioning.Output(tooltip="The prompt, for the sampler's positive or negative.")],
        )

    @classmethod
    def check_lazy_status(
        cls, file: str, save_as: str, conditioning: Conditioning | NotConnected | None = NOT_CONNECTED
    ) -> list[str]:
        """Ask for the conditioning only where it is used."""
        is_waiting = conditioning is None and file == ENCODE and bool(save_as.strip())
        return ["conditioning"] if is_waiting else []

    @classmethod
    def fingerprint_inputs(cls, file: str | None = None, save_as: str = "", **_: Any) -> object:
        """Run again when the chosen file changed on disk; a name that comes over a link is not known yet."""
        if file is None or file == ENCODE:
            return save_as
        return file_stamp(find_text_embeds(file))

    @classmethod
    def execute(cls, file: str, save_as: str, conditioning: Conditioning | None = None) -> io.NodeOutput:
        if file != ENCODE:
            if save_as.strip():
                raise InputError(
                    f"save_as: `{save_as}` has nothing to save, because the file `{file}` is chosen. Empty "
                    f"save_as, or set file to '{ENCODE}'."
                )
            return io.NodeOutput(load_text_embeds(find_text_embeds(file)))
        if not save_as.strip():
            raise InputError(
                "file: nothing to load and nothing to save. Choose a file, or connect conditioning and give "
                "save_as a name."
            )
        if conditioning is None:
            raise InputError("conditioning: not connected. Connect a text encode node, or choose a file.")
        save_text_embeds(conditioning, save_as)
        return io.NodeOutput(conditioning)
