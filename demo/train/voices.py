"""Makes the voices that the tiny models are trained on, and encodes them.

    python demo/train/voices.py --out voices.pt

needs espeak-ng. Voices, words, rates and pauses follow from the seed; `HELD_OUT` voices never train anything.

Shape letters: T samples, N frames of a track with its silent tail.
"""

import argparse
import io
import subprocess
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from world.mouth import SAMPLE_RATE_HZ
from world.sounds import made_up_voice, probe_signal

SPEAKERS = ("m1", "m2", "m3", "m4", "m5", "m6", "m8", "f1", "f2", "f3", "f5", "Andy", "Annie", "klatt",
"klatt3",
            "linda", "steph", "norbert", "victor", "grandpa", "Alicia", "Hugo")  # fmt: skip
HELD_OUT = ("m7", "f4", "klatt2", "Marco", "belinda", "edward")

WORDS = {
    "en-gb": "morning river bottle under window seven yellow people maybe sleeping forest never open garden "
    "little music after winter paper somebody told me about that strange old ship which sailed over "
    "the mountain and came back with silver stones while we were waiting for bread butter tea one "
    "two three",
    "en-us": "water computer Monday better almost everything around here looks like summer again so let us "
    "walk down to the harbour before the storm begins because nobody knows how long this will take "
    "please remember",
    "de": "heute morgen ging ich langsam durch den wald und sah ein kleines haus am fluss dort wohnte "
    "niemand mehr aber die blumen waren noch schön und das wasser rauschte leise zwischen steinen "
    "immer weiter",
    "es": "buenos días señor hoy vamos a la playa porque hace mucho calor y el mar está tranquilo luego "
    "comemos pan con tomate en la casa blanca de mi abuela que canta siempre por la tarde",
    "fr": "bonjour madame je voudrais deux baguettes et un peu de fromage parce que ce soir mes amis "
    "viennent manger dans le jardin sous les arbres verts quand la lune se lève doucement",
    "it": "buongiorno oggi la piazza è piena di gente che parla ride e beve caffè mentre i bambini corrono "
    "dietro alla palla rossa vicino alla fontana antica",
    "pl": "dzie\u0144 dobry dzisiaj pada deszcz wi\u0119c "
    "zostajemy w domu i czytamy ksi\u0105\u017cki przy ciep\u0142ym piecu razem",
}
PAUSE_S = (0.1, 1.2)


@dataclass(frozen=True, slots=True)
class Voice:
    """One spoken track.

    Attributes:
        samples_T: mono at 16 kHz.
        is_held_out: no model is trained on this speaker.
    """

    samples_T: torch.Tensor
    is_held_out: bool


def speak(text: str, language: str, speaker: str, words_per_minute: int, pitch: int) -> torch.Tensor:
    """What espeak-ng says, (samples,) mono at 16 kHz."""
    import librosa  # noqa: PLC0415  # seconds to import
    import soundfile  # noqa: PLC0415

    command = [
        "espeak-ng",
        "-v",
        f"{language}+{speaker}",
        "-s",
        str(words_per_minute),
        "-p",
        str(pitch),
        "--stdout",
    ]
    wave = subprocess.run([*command, text], check=True, capture_output=True).stdout
    samples, rate_hz = soundfile.read(io.BytesIO(wave), dtype="float32")
    return torch.from_numpy(librosa.resample(samples, orig_sr=rate_hz, target_sr=SAMPLE_RATE_HZ))


def spoken_track(seed: int, duration_s: float, *, held_out: bool) -> Voice:
    """A speaker's sentences with pauses between them."""
    random = Random(seed)
    speaker = random.choice(HELD_OUT if held_out else SPEAKERS)
    language = random.choice(sorted(WORDS))
    words = WORDS[language].split()
    rate, pitch = random.randint(110, 210), random.randint(15, 85)
    pieces: list[torch.Tensor] = []
    samples, total = 0, round(duration_s * SAMPLE_RATE_HZ)
    while samples < total:
        text = " ".join(random.choice(words) for _ in range(random.randint(2, 9)))
        pause = torch.zeros(round(random.uniform(*PAUSE_S) * SAMPLE_RATE_HZ))
        piece = torch.cat([speak(text, language, speaker, rate, pitch), pause])
        pieces.append(piece)
        samples += len(piece)
    track_T = torch.cat(pieces)[:total]
    if random.random() < 0.3:
        hush = random.choice((0.0005, 0.002))
        track_T = track_T + hush * torch.randn(total, generator=torch.Generator().manual_seed(seed))
    return Voice(track_T, held_out)


def main() -> None:
    """Speak everything and write it: `train` and `held`, lists of tracks in half precision."""
    parser = argparse.ArgumentParser(description="Speak the training's voices.")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    generator = torch.Generator().manual_seed(5)
    train = [spoken_track(1000 + number, 8.0, held_out=False).samples_T for number in range(480)]
    train += [probe_signal(generator, 8.0) for _ in range(50)]
    train += [made_up_voice(70000 + number, 8.0) for number in range(60)]
    held = [spoken_track(900000 + number, 24.0, held_out=True).samples_T for number in range(24)]
    torch.save({"train": [t.half() for t in train], "held": [t.half() for t in held]}, chosen.out)


if __name__ == "__main__":
    main()
