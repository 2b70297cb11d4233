"""The sampler with all that it needs: the heart of a conversion."""

from dataclasses import dataclass
from typing import Any

from .constants import constant, number
from .errors import ConvertError
from .model import talking_model
from .picture import clip_behind, dubbed, fitted_picture
from .prompt import Prompts, prompt_schedule, prompts_of
from .schedulers import FIXED, schedule_of
from .settings import account_for, fitting, one_after_fours
from .source import Link, SourceNode
from .speech import Speech, speech_of
from .step_cache import cached
from .widgets import names_of
from .work import Work

IMAGES = "WanVideoImageToVideoMultiTalk"
MAX_SEED = 2**63 - 1
MAX_WINDOW_FRAMES = 81
SIDE_STEP_PX = 16
STEPS, SHIFTS, SCALES = (1, 200), (0.1, 100.0), (0.0, 30.0)
"""What EverTalk Sampler takes."""

PREFIX = "EverTalk/talk"

CARRIED = names_of(
    "model image_embeds text_embeds multitalk_embeds samples steps cfg shift seed scheduler "
    "denoise_strength start_step cache_args"
)
CARRIED_IMAGES = names_of(
    "vae width height frame_window_size motion_frame colormatch start_image clip_embeds mode output_path"
)

COLOURS = {"mkl": "mkl", "reinhard": "lab"}
"""Colour matches that do the same under another name."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a sampler.

    Attributes:
        sampler: id of EverTalk Sampler.
        decode: id of EverTalk Decode.
        embeds: the encoded speech, which is the video's sound.
    """

    sampler: str
    decode: str
    embeds: Link


def convert_sampler(work: Work, node: SourceNode) -> Made:
    """Make EverTalk's nodes for one sampler of WanVideoWrapper.

    Raises:
        ConvertError: it is not an InfiniteTalk or MultiTalk sampler.
    """
    images = work.needed(node, "image_embeds", "WanVideo Long I2V Multi/InfiniteTalk", (IMAGES,))
    if images.kind != IMAGES:
        raise ConvertError(
            f"{images.name}: expected {IMAGES}; other kinds of video are not EverTalk's. Keep "
            "WanVideoWrapper for them"
        )
    work.seen.add(node.id)
    account_for(work, node, CARRIED)
    account_for(work, images, CARRIED_IMAGES)
    picture, source = _seen(work, node, images)
    speech = speech_of(work, node, picture)
    model = cached(work, node, talking_model(work, node, images.text("mode", "auto")))
    prompts = prompts_of(work, node.link("text_embeds"))
    vae = vae_of(work, images, "WanVideo VAE Loader")
    widgets: dict[str, Any] = {
        **frame_size(work, images),
        **_windows(work, images),
        **_sampling(work, node),
        **_guidance(work, node, speech),
    }
    schedule = prompt_schedule(work, prompts, widgets["window_frames"], widgets["motion_frames"])
    inputs: dict[str, object] = {
        "model": model,
        "positive": prompts.positive,
        "negative": _negative(work, node, prompts, widgets),
        "vae": vae,
        "audio_embeds": speech.embeds,
        "start_image": None if source else picture,
        "clip_vision_output": work.follow(images.link("clip_embeds")),
        "schedule": schedule,
        "look": _look(work, images),
        "source": source,
        **widgets,
        "output": "video",
        "filename_prefix": _prefix(work, images),
    }
    sampler = work.add("EverTalkSampler", "EverTalk Sampler", inputs)
    decode = work.add("EverTalkDecode", "EverTalk Decode", {"samples": Link(sampler, 0), "vae": vae})
    work.know(Link(images.id, 1), Link(decode, 2))
    for slot in (0, 1):
        work.know(Link(node.id, slot), Link(sampler, 0))
    return Made(sampler, decode, speech.embeds)


def _seen(work: Work, node: SourceNode, images: SourceNode) -> tuple[Link | None, Link | None]:
    """The start picture, and the clip that is dubbed."""
    encoded, denoise = work.node_of(node.link("samples")), _denoise(work, node)
    start = images.link("start_image")
    if encoded is not None:
        account_for(work, encoded, {"vae", "image"})
        clip = clip_behind(work, encoded.link("image"))
        if clip is not None:
            if denoise != 1:
                note = "the steps that were left out at the beginning become denoise of EverTalk Video Source"
                work.changed(node, f"{note}: {denoise:g}, with the steps that remain")
            return work.follow(start), dubbed(work, clip, encoded.link("image"), denoise)
        work.lost(node, f"samples ({encoded.name}): only a clip's frames can be made over")
    elif denoise != 1:
        work.lost(
            node, f"denoise_strength, start_step: {denoise:g} of the steps, without samples to begin at"
        )
    clip = clip_behind(work, start)
    if clip is not None:
        return work.follow(start), dubbed(work, clip, start, 1.0)
    picture = fitted_picture(work, start)
    if start is None:
        raise ConvertError(
            f"{images.name}: nothing is connected to start_image; connect Load Image and convert again"
        )
    if picture is None:
        say_open(work, images, "start_image", "Load Image to start_image of EverTalk Sampler")
    return picture, None


def vae_of(work: Work, node: SourceNode, loader: str) -> Link | None:
    """What gives the VAE of a node; None, and a remark, if that is not known here.

    Raises:
        ConvertError: nothing is connected; says that `loader` should be.
    """
    if node.link("vae") is None:
        raise ConvertError(f"{node.name}: nothing is connected to vae; connect {loader} and convert again")
    vae = work.follow(node.link("vae"))
    if vae is None:
        say_open(work, node, "vae", "Load VAE to vae of EverTalk Sampler and of EverTalk Decode")
    return vae


def say_open(work: Work, images: SourceNode, name: str, move: str) -> None:
    """Say that an input was left unconnected, and why."""
    giver = work.node_of(images.link(name))
    label = giver.name if giver else "a node that does not run"
    work.lost(images, f"{name} ({label}): what gives it is not known here; connect {move}")


def _skipped_steps(work: Work, node: SourceNode) -> int:
    """How many of its steps a sampler leaves out at the beginning."""
    steps, strength = int(number(work, node, "steps", 30)), number(work, node, "denoise_strength", 1)
    if strength < 1:  # WanVideoWrapper counts so
        return max(0, steps - int(steps * strength) - 1)
    return min(steps - 1, int(number(work, node, "start_step", 0)))


def _denoise(work: Work, node: SourceNode) -> float:
    """The share of the way from noise to picture; rounded down, so that the same steps are left."""
    steps, skipped = int(number(work, node, "steps", 30)), _skipped_steps(work, node)
    return max(0.05, (steps - skipped) * 100 // steps / 100)


def frame_size(work: Work, images: SourceNode) -> dict[str, object]:
    """Width and height of EverTalk Sampler from those of a node."""
    size: dict[str, object] = {"size": "custom"}
    for name, usual in (("width", 832), ("height", 480)):
        asked = constant(work, images.inputs.get(name))
        if not isinstance(asked, int | float):
            work.changed(images, f"{name} is computed by other nodes: the trained 480p size is chosen")
            return {"size": "480p", "width": 832, "height": 480}
        fitting = max(SIDE_STEP_PX, round(asked / SIDE_STEP_PX) * SIDE_STEP_PX)
        if fitting != asked:
            work.changed(images, f"{name} {asked:g} becomes {fitting}, a multiple of {SIDE_STEP_PX}")
        size[name] = fitting or usual
    return size


def _windows(work: Work, images: SourceNode) -> dict[str, float]:
    frames = int(number(work, images, "frame_window_size", MAX_WINDOW_FRAMES))
    motion = int(number(work, images, "motion_frame", 25))
    if frames > MAX_WINDOW_FRAMES:
        work.changed(
            images, f"frame_window_size {frames} becomes {MAX_WINDOW_FRAMES}, as the weights know it"
        )
        frames = MAX_WINDOW_FRAMES
    fitting_motion = one_after_fours(work, images, "motion_frame", motion)
    return {"window_frames": (frames - 1) // 4 * 4 + 1, "motion_frames": fitting_motion}


def _sampling(work: Work, node: SourceNode) -> dict[str, object]:
    schedule, sampler = schedule_of(work, node)
    steps, seed = int(number(work, node, "steps", 30)), int(number(work, node, "seed", 0))
    if schedule == FIXED and steps != 4:
        work.needless(node, f"steps {steps}: multitalk is four timesteps, as it was there")
    steps -= _skipped_steps(work, node)
    shift = round(fitting(work, node, "shift", number(work, node, "shift", 5), SHIFTS), 3)
    return {
        "scheduler": schedule,
        "steps": int(fitting(work, node, "steps", steps, STEPS)),
        "shift": shift,
        "sampler_name": sampler,
        "seed": fitting_seed(work, node, seed),
    }


def fitting_seed(work: Work, node: SourceNode, seed: int) -> int:
    """A seed as EverTalk Sampler takes it; says so if it is another."""
    if seed < 0:  # what draws one in the editor
        work.changed(node, f"seed {seed} is drawn again for each run there: 0 is used")
        return 0
    if seed <= MAX_SEED:
        return seed
    work.changed(node, f"seed {seed} becomes {seed % MAX_SEED}; the noise is another in any case")
    return seed % MAX_SEED


def _guidance(work: Work, node: SourceNode, speech: Speech) -> dict[str, object]:
    cfg = constant(work, node.inputs.get("cfg"))
    if not isinstance(cfg, int | float):
        work.lost(node, "cfg changes with the steps, which has no counterpart: text_scale 1 is used")
        cfg = 1.0
    audio_scale = fitting(work, node, "audio_cfg_scale", speech.audio_scale, SCALES)
    return {"text_scale": round(float(cfg), 3), "audio_scale": round(audio_scale, 3)}


def _negative(work: Work, node: SourceNode, prompts: Prompts, widgets: dict[str, Any]) -> Link | None:
    if prompts.negative is None and widgets["text_scale"] != 1:
        work.changed(node, "cfg without a negative prompt: text_scale 1 is used")
        widgets["text_scale"] = 1.0
    return prompts.negative


def _look(work: Work, images: SourceNode) -> Link | None:
    asked = images.text("colormatch", "disabled")
    if asked == "disabled":
        return None
    method = COLOURS.get(asked, "mkl")
    if asked not in COLOURS:
        work.changed(images, f"colormatch {asked} does not exist here: mkl is used")
    inputs: dict[str, object] = {"colour_match": method, "colour_strength": 1.0, "blend_frames": 0}
    inputs |= {"zoom": 1.0, "pan_x": 0.0, "pan_y": 0.0}
    return Link(work.add("EverTalkLook", "EverTalk Look", inputs), 0)


def _prefix(work: Work, images: SourceNode) -> str:
    folder = constant(work, images.inputs.get("output_path"))
    if not isinstance(folder, str) or not folder:
        return PREFIX
    last = folder.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = "".join(letter for letter in last if letter.isalnum() or letter in "-_") or "talk"
    work.changed(
        images,
        f"output_path {folder}: the finished video goes to EverTalk/{name} in ComfyUI's output folder; "
        "single pictures are not written",
    )
    return f"EverTalk/{name}/talk"
