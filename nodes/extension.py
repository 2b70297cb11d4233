"""The list of nodes that ComfyUI asks for."""

from functools import partial

from comfy_api.latest import ComfyExtension, io

from .apply import EverTalkApply
from .audio_embeds import EverTalkAudioEmbeds
from .audio_encoder_loader import EverTalkAudioEncoderLoader
from .decode import EverTalkDecode
from .guidance import EverTalkGuidance
from .host.report.routes import add_middleware, add_post_route, add_prompt_handler
from .host.run import estimate, review
from .host.server import wrapper_convert
from .host.server.gone_files import nothing_for_gone
from .host.server.queued import note_asked
from .host.server.queued_inputs import with_plain_inputs
from .host.server.refusals import name_the_widget
from .host.server.saving import with_savers
from .load_speech import EverTalkLoadSpeech
from .look import EverTalkLook
from .model_loader import EverTalkModelLoader
from .parallel import EverTalkParallel
from .sampler import EverTalkSampler
from .save_text_embeds import EverTalkSaveTextEmbeds
from .schedule import EverTalkSchedule
from .speakers import EverTalkSpeakers
from .step_cache import EverTalkStepCache
from .text_embeds import EverTalkTextEmbeds
from .video_source import EverTalkVideoSource

NODES: tuple[type[io.ComfyNode], ...] = (
    EverTalkModelLoader,
    EverTalkApply,
    EverTalkStepCache,
    EverTalkParallel,
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
)
"""In the order of the menu."""


class EverTalkExtension(ComfyExtension):
    """All nodes of the pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes, in the order of the menu."""
        return list(NODES)


async def comfy_entrypoint() -> EverTalkExtension:
    """What ComfyUI calls when it loads the pack."""
    add_post_route(estimate.ROUTE, estimate.answer)
    add_post_route(review.ROUTE, review.REVIEWS.answer)
    add_post_route(wrapper_convert.ROUTE, wrapper_convert.answer)
    add_prompt_handler(partial(with_plain_inputs, {node.__name__: node for node in NODES}))
    add_prompt_handler(with_savers)
    add_prompt_handler(note_asked)  # the last: what is noted is what is looked at
    add_middleware(name_the_widget)
    add_middleware(nothing_for_gone)
    return EverTalkExtension()
