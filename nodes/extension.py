"""The list of nodes that ComfyUI asks for."""

from comfy_api.latest import ComfyExtension, io

from .apply import EverTalkApply
from .audio_embeds import EverTalkAudioEmbeds
from .audio_encoder_loader import EverTalkAudioEncoderLoader
from .decode import EverTalkDecode
from .guidance import EverTalkGuidance
from .host import estimate, review, wrapper_convert
from .host.gone_files import nothing_for_gone
from .host.refusals import name_the_widget
from .host.routes import add_middleware, add_post_route, add_prompt_handler
from .host.saving import with_savers
from .load_speech import EverTalkLoadSpeech
from .look import EverTalkLook
from .model_loader import EverTalkModelLoader
from .sampler import EverTalkSampler
from .save_text_embeds import EverTalkSaveTextEmbeds
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
            EverTalkLoadSpeech,
            EverTalkSpeakers,
            EverTalkAudioEmbeds,
            EverTalkTextEmbeds,
            EverTalkSaveTextEmbeds,
            EverTalkGuidance,
            EverTalkSchedule,
            EverTalkLook,
            EverTalkVideoSource,
            EverTalkSampler,
            EverTalkDecode,
        ]


async def comfy_entrypoint() -> EverTalkExtension:
    """What ComfyUI calls when it loads the pack."""
    add_post_route(estimate.ROUTE, estimate.answer)
    add_post_route(review.ROUTE, review.REVIEWS.answer)
    add_post_route(wrapper_convert.ROUTE, wrapper_convert.answer)
    add_prompt_handler(with_savers)
    add_middleware(name_the_widget)
    add_middleware(nothing_for_gone)
    return EverTalkExtension()
