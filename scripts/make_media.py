"""The Python part of make_media.sh: pictures, voices at 16 kHz, and a short clip to dub."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import librosa
import numpy as np
import soundfile
from PIL import Image
from skimage import data

DEMO = Path(__file__).resolve().parent.parent / "demo"
sys.path.insert(0, str(DEMO))
from world.clip import write_clip  # noqa: E402

MEDIA = DEMO / "media"
TALK_S = 2.45
"""Of the drawn clip of two people: as long as the voice that one of them is given."""

RATE_HZ = 16000
CLIP_SIDE_PX = 256
CLIP_FPS = 30
CLIP_FRAMES = 120
CLIP_CUT = 75
"""Where the clip cuts from the whole picture to the face."""


def make_voices(spoken: Path) -> None:
    """Each wav as FLAC, mono, 16 kHz."""
    for wav in sorted(spoken.glob("*.wav")):
        samples, _ = librosa.load(wav, sr=RATE_HZ, mono=True)
        soundfile.write(MEDIA / f"{wav.stem}.flac", samples, RATE_HZ, subtype="PCM_16")
        print(f"{wav.stem}: {len(samples) / RATE_HZ:.3f} s, {len(samples)} samples")


def make_pictures(portrait: Image.Image) -> None:
    """The portrait, and two people: it and its mirror image."""
    portrait.save(MEDIA / "portrait.jpg", quality=92)
    side = portrait.resize((384, 384), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (768, 384))
    both.paste(side, (0, 0))
    both.paste(side.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (384, 0))
    both.save(MEDIA / "two_people.jpg", quality=88)


def make_clip(portrait: Image.Image) -> None:
    """Four silent seconds at 30 frames a second: a slow zoom, then a cut to the face."""
    with av.open(str(MEDIA / "clip.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(CLIP_FPS), options={"crf": "26"})
        stream.width = stream.height = CLIP_SIDE_PX
        stream.pix_fmt = "yuv420p"
        for index in range(CLIP_FRAMES):
            margin = index * 0.4
            box = (140 + margin / 4, 0 + margin / 4, 320 - margin / 4, 180 - margin / 4)
            if index < CLIP_CUT:
                box = (margin, margin, 512 - margin, 512 - margin)
            frame = portrait.resize((CLIP_SIDE_PX, CLIP_SIDE_PX), Image.Resampling.BICUBIC, box=box)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")))
        file.mux(stream.encode())


def main() -> None:
    """Make everything; the argument is the folder of spoken wavs."""
    portrait = Image.fromarray(data.astronaut())
    make_voices(Path(sys.argv[1]))
    make_pictures(portrait)
    make_clip(portrait)
    write_clip(MEDIA / "two_talk.mp4", TALK_S)


if __name__ == "__main__":
    main()
