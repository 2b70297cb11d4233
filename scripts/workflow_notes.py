"""The note beside each workflow: what it does, and which model files belong into which folder.

It is written into the workflow in English and Chinese, since the editor translates no notes.
"""

from collections.abc import Iterable

from chinese import Catalogue
from model_files import MADE_HERE, MODEL_FILES

TITLE = "Read me"
HEADING = "Model files and their folders"
MAKES_ITS_MODELS = "Its miniature models are made by `make demo` in the pack's folder; nothing is downloaded."
ABOUT = {
    "demo_tiny": "The whole path without a GPU, with models wired by hand: any picture, but no lips "
    "move. `make demo ARGS=--portrait` makes them.",
    "demo_cartoon": "The demo with trained miniatures: a drawn face whose mouth follows the "
    "voice. No GPU needed.",
    "demo_cartoon_two": "The demo with trained miniatures: two drawn people who talk in turn. No GPU needed.",
    "infinitetalk_image": "One person talks, from a picture and speech, as long as the speech. Choose your "
    "files in *Picture* and *Speech*, then queue.",
    "infinitetalk_two_people": "Two people in one picture, each with a voice of their own. Without masks "
    "they are the left and the right half.",
    "infinitetalk_dub_video": "Dubbing: a clip is given other speech. Its picture stays, the lips follow the "
    "new sound.",
    "lips_for_any_clip": "Lips for any clip: one face of a clip talks, and goes back into the clip's own "
    "frames; size, frame rate and all else stay. Say in *region_box* where the face is, or connect masks to "
    "*region* (ComfyUI's SAM nodes make them out of Get Video Components' images); the node shows the box on "
    "the clip. Two people: take the finished video as the clip for the other one.",
    "demo_cartoon_clip": "The demo with trained miniatures: of two people in a drawn clip, one gets a new "
    "voice; all else stays. No GPU needed.",
    "infinitetalk_directed": "Prompts over time, guidance, soft joins and a slow zoom.",
    "multitalk_image": "One person talks, with the MultiTalk weights (motion_frames 25).",
    "flashtalk_image": "One person talks, with SoulX-FlashTalk: four steps a window, or two with scheduler "
    "*flashtalk_2*; the sampler's strip plays the film while it is made. Download the repository's "
    "*config.json*, *diffusion_pytorch_model...* files and their index into one folder; it is the base model "
    "and the audio weights. Its code is Apache-2.0; the licence of its weights is on the model card: read it "
    "before you use them.",
    "skyreels_image": "One person talks, with SkyReels-V3-A2V: a first clip gives the stills that windows "
    "end on, so that a long video does not drift away. *Prompt of the first clip* is yours; the windows' own "
    "is what the weights' authors use. Download the repository's *config.json* and *.safetensors* files into "
    "one folder; it is the base model and the audio weights. Code and weights are under the Skywork "
    "Community License: read it and the model card before you use them.",
}


def note_texts() -> list[str]:
    """Every sentence of the notes, in English."""
    return [HEADING, MAKES_ITS_MODELS, *ABOUT.values()]


def note_of(workflow: str, file_names: Iterable[str], chinese: Catalogue) -> str:
    """The note's Markdown.

    Args:
        workflow: its name, such as `infinitetalk_image`.
        file_names: the model files that its loaders name.
        chinese: the catalogue.

    Raises:
        KeyError: a workflow, a model file or its Chinese is not listed.
    """
    names = set(file_names)
    if workflow not in ABOUT:
        raise KeyError(f"scripts/workflow_notes.py does not say what {workflow} does")
    sentences = [ABOUT[workflow]]
    if all(name.startswith(MADE_HERE) for name in names):
        sentences.append(MAKES_ITS_MODELS)
        names = set()
    unknown = sorted(names - MODEL_FILES.keys())
    if unknown:
        raise KeyError(f"{workflow} names {unknown}, which scripts/model_files.py does not list")
    lines = [" ".join(sentences), "", "".join(chinese.notes[sentence] for sentence in sentences)]
    if names:
        lines += ["", f"**{HEADING} / {chinese.notes[HEADING]}**", ""]
    lines += [
        f"- `models/{file.folder}`: [{file.name}]({file.url})"
        for file in MODEL_FILES.values()
        if file.name in names
    ]
    return "\n".join(lines)
