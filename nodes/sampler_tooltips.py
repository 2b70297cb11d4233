"""What the sampler's sockets and widgets say when the mouse rests on them."""

from ..multitalk.windows import skyreels
from ..multitalk.windows.flashtalk import HEIGHT_PX, PROMPT, WIDTH_PX
from ..multitalk.windows.flashtalk import WINDOWS as FLASHTALK_WINDOWS
from ..multitalk.windows.settings import (
    FIXED_TIMESTEPS,
    FLASHTALK_2_SCHEDULE,
    FLASHTALK_SAMPLER,
    FLASHTALK_SCHEDULE,
    FLASHTALK_SHIFT,
    MULTITALK_SCHEDULE,
    SKYREELS_SAMPLER,
    SKYREELS_SCHEDULE,
    SKYREELS_SHIFT,
)


def _fixed(scheduler: str) -> str:
    return ", ".join(f"{timestep:g}" for timestep in FIXED_TIMESTEPS[scheduler])


_FLASHTALK = f"{FLASHTALK_SCHEDULE} and {FLASHTALK_2_SCHEDULE}"
_BOUND = f"{FLASHTALK_SCHEDULE}, {FLASHTALK_2_SCHEDULE} and {SKYREELS_SCHEDULE}"

NODE = (
    "Makes a talking video of any length from a picture and speech, window by window. Frames are written to "
    "the "
    "file as they are made."
)
SAMPLES = "For EverTalk Decode: the saved video, or raw latents of a single window (see output)."
MODEL = "A model with audio weights: from EverTalk Model Loader or Apply, LoRA loaders between as you like."
POSITIVE = (
    "The prompt: what is seen and how, besides the speech. FlashTalk's weights were distilled with this one: "
    f"{PROMPT} With scheduler {SKYREELS_SCHEDULE} it is the prompt of the first clip, whose stills windows "
    "end on; a schedule gives the windows their own."
)
VAE = "Wan 2.1's VAE."
AUDIO_EMBEDS = "The speech, from EverTalk Audio Embeds. It decides the length: 25 frames a second."
START_IMAGE = (
    "The picture of who speaks. Resized to cover the size, then cut at the centre. With a source it is not "
    "needed and not used."
)
NEGATIVE = "Negative prompt. Needed only when text_scale is not 1."
CLIP_VISION_OUTPUT = (
    "CLIP ViT-H's view of the start picture. Without it the picture still conditions the video through the "
    "VAE, "
    "but the likeness is weaker."
)
GUIDANCE = "From EverTalk Guidance. Replaces text_scale and audio_scale below, which are then not used."
SCHEDULE = (
    "From EverTalk Schedule: prompts and start pictures over time. Its prompts take the place of positive, "
    "its pictures that of start_image (which still decides the size)."
)
LOOK = "From EverTalk Look: colour match, soft joins, a slow zoom or pan."
CLIP_VISION = (
    "CLIP ViT-H itself. With it CLIP sees each window's own picture, as the weights' authors do it: the last "
    "frame made (MultiTalk), or the picture of that moment (InfiniteTalk with a schedule or a camera move). "
    "Takes the place of clip_vision_output."
)
SOURCE = (
    "From EverTalk Video Source: a clip that is given the speech of audio_embeds. Each window's picture is "
    "then the clip's frame at that moment, and start_image may stay unconnected."
)
SIZE = (
    "480p and 720p choose the trained size nearest to the picture's shape; custom uses width and height. "
    "Use the size that the base model was trained on: FlashTalk's is custom with "
    f"{WIDTH_PX}x{HEIGHT_PX}."
)
WIDTH = "Width in pixels, with size custom. Taken to the nearest multiple of 16."
HEIGHT = "Height in pixels, with size custom. Taken to the nearest multiple of 16."
WINDOW_FRAMES = (
    "Frames of one window, 4n+1 (others are taken down to it). 81 is what the weights were trained on, "
    f"those of SkyReels-V3 too, {FLASHTALK_WINDOWS.window_frames} those of FlashTalk."
)
MOTION_FRAMES = (
    "Frames each window takes over from the one before, 4n+1 (others are taken down to it) and fewer than "
    "window_frames. 9 for InfiniteTalk, 25 for MultiTalk, "
    f"{FLASHTALK_WINDOWS.motion_frames} for FlashTalk and SkyReels-V3."
)
SCHEDULER = (
    f"{MULTITALK_SCHEDULE}: always the four timesteps {_fixed(MULTITALK_SCHEDULE)}, shifted, for 4-step "
    f"LoRAs; steps is not used. infinitetalk: evenly spaced, the authors' own, for many steps. "
    f"{FLASHTALK_SCHEDULE}: for FlashTalk's weights, always {_fixed(FLASHTALK_SCHEDULE)}; "
    f"{FLASHTALK_2_SCHEDULE}: always {_fixed(FLASHTALK_2_SCHEDULE)}; both at shift {FLASHTALK_SHIFT:g} with "
    f"{FLASHTALK_SAMPLER}, without guidance. {SKYREELS_SCHEDULE}: for SkyReels-V3's weights, always "
    f"{_fixed(SKYREELS_SCHEDULE)} at shift {SKYREELS_SHIFT:g} with {SKYREELS_SAMPLER}, without guidance; "
    f"each window ends on a still of a first clip and lets its last {skyreels.DROPPED_FRAMES} frames go. The "
    "others are ComfyUI's."
)
STEPS = (
    f"Steps a window. Not used with scheduler {MULTITALK_SCHEDULE}, which always runs its four, nor with "
    f"{_BOUND}. 40 without a distilled LoRA."
)
SHIFT = (
    "Moves the noise levels up: 11 with the lightx2v LoRA or at 720p, 7 at 480p without LoRA, 2 with "
    f"FusionX. Not used with {_FLASHTALK}, which are always at {FLASHTALK_SHIFT:g}, and "
    f"{SKYREELS_SCHEDULE}, which is at {SKYREELS_SHIFT:g}."
)
SAMPLER_NAME = (
    "ComfyUI's sampler. euler is what the weights' authors use. "
    f"Not used with {_FLASHTALK}, which always take {FLASHTALK_SAMPLER}, and {SKYREELS_SCHEDULE}, which "
    f"takes {SKYREELS_SAMPLER}."
)
TEXT_SCALE = (
    "How closely the prompt is followed. 1: one pass less; use 1 with distilled LoRAs, 5 without. Not used "
    f"with {_BOUND}, which have no guidance."
)
AUDIO_SCALE = (
    "How strongly the speech moves the lips. 1: one pass less; 3 to 5 gives the best lips without a "
    "distilled "
    f"LoRA, 1 or 2 with one. 0 is silent. Not used with {_BOUND}, which have no guidance."
)
SEED = "Seed of all noise: the same inputs on the same machine give the same video."
OUTPUT = (
    "video: every window is decoded as it is made and written to the file. latent: raw latents for EverTalk "
    "Decode, one window only."
)
FILENAME_PREFIX = (
    "File name within ComfyUI's output folder; may name subfolders. A number and .mp4 are added. "
    "%date:yyyy-MM-dd%, %year%, %width% and the like are replaced, and %EverTalkSampler.seed% by a node's "
    "value: its title or type, a full stop, the widget."
)
RESUME = (
    "What to do if the same run was stopped before. auto: continue after the last finished window; a "
    "finished run gives its video at once. restart: make all windows again. only_finished: make a playable "
    "video of the finished ones and sample nothing."
)
WINDOW_SEEDS = (
    "Other seeds for single windows, such as 4: 1234, 9: 7 (the first window is 1). The windows before them "
    "are taken from the run that has made them; those from there on are made again."
)
PAUSE_AFTER = (
    "Pause after every so many windows and give a playable video of what is finished; queue the workflow "
    "again to go on. 0: never. What you do not like is made again with window_seeds."
)
FORMAT = (
    "How the video is written. mp4 (h264) plays everywhere; 10-bit has no banding in soft gradients; the "
    "lossless mkv keeps 10 bits a colour; png (8 bits) and exr (half floats, linear light) sequences are "
    "folders of numbered pictures with the sound as sound.wav."
)
