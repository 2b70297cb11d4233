"""EverTalkSaveTextEmbeds: a prompt's encoding to a file, whether or not its output is connected."""

from comfy_api.latest import io

from .host.codecs.text_embeds import Conditioning, save_text_embeds
from .host.report.node import EverTalkNode


class EverTalkSaveTextEmbeds(EverTalkNode):
    """Saves the text embeddings of a text encoder for later.

    An output node, which EverTalk Text Embeddings is not: where that one saves, this one runs in its place
    (host/server/saving.py).
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EverTalkSaveTextEmbeds",
            display_name="EverTalk Save Text Embeddings",
            description="Saves the encoding of a prompt to a small file, for EverTalk Text Embeddings to "
            "load without the 11 GB text encoder. Runs even if its output is not connected.",
            is_output_node=True,
            inputs=[
                io.String.Input(
                    "save_as",
                    default="",
                    tooltip="Name of the file, in output/evertalk_text_embeds. Letters, digits, dot, "
                    "underscore and hyphen.",
                ),
                io.Conditioning.Input(
                    "conditioning", tooltip="The encoded prompt, straight from a text encode node."
                ),
            ],
            outputs=[io.Conditioning.Output(tooltip="The prompt, for the sampler's positive or negative.")],
        )

    @classmethod
    def execute(cls, save_as: str, conditioning: Conditioning) -> io.NodeOutput:
        save_text_embeds(conditioning, save_as)
        return io.NodeOutput(conditioning)
