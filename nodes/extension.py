"""The list of nodes that ComfyUI asks for."""

from comfy_api.latest import ComfyExtension, io

from .apply import EverTalkApply
from .audio_embeds import EverTalkAudioEmbeds
from .audio_encoder_loader import EverTalkAudioEncoderLoader
from .decode import EverTalkDecode
from .guidance import EverTalkGuidance
from .look import EverTalkLook
from .model_loader import EverTalkModelLoader
from .sampler import EverTalkSampler
from .schedule import EverTalkSchedule
from .speakers import EverTalkSpeakers
from .step_cache import EverTalkStepCache
from .text_embeds import EverTalkTextEmbeds
from .video_source import EverTalkVideoSource


class EverTalkExtension(ComfyExtension):
    """All nodes of the pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes, in the order of the menu."""
        return [
            EverTalkModelLoader,
            EverTalkApply,
            EverTalkStepCache,
            EverTalkAudioEncoderLoader,
            EverTalkSpeakers,
            EverTalkAudioEmbeds,
            EverTalkTextEmbeds,
            EverTalkGuidance,
            EverTalkSchedule,
            EverTalkLook,
            EverTalkVideoSource,
            EverTalkSampler,
            EverTalkDecode,
        ]


async def comfy_entrypoint() -> EverTalkExtension:
    """What ComfyUI calls when it loads the pack."""
    return EverTalkExtension()
