"""What `real_server.py` runs: a variant's settings, and the words that they are written in."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from random_files import FORMS, WHOLE, FileSet

QUANTIZATIONS = ("as_stored", "bf16", "fp16", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2", "fp8_rowwise")


class VariantError(Exception):
    """A variant is written wrongly; the message says how."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row's settings; see the file's beginning."""

    name: str
    quantization: str = "as_stored"
    compile: bool = False
    lora: bool = False
    base: str = "fp8_e4m3fn"
    audio: str = "fp16"
    whole: str = ""
    attention: str = "auto"
    size: str = ""
    frames: int = 0
    steps: int = 4
    seconds: float = 8.0
    runs: int = 1
    reserve: float = 0.0
    compute: str = ""
    budget: str = ""
    limit: float = 0.0
    profile: int = -1
    kill: int = 0
    gpus: int = 1
    voices: int = 1
    flags: tuple[str, ...] = ()

    def with_word(self, word: str) -> "Variant":
        """With one more word; raises VariantError."""
        key, _, value = word.partition("=")
        if word.startswith("--"):
            return replace(self, flags=(*self.flags, word))
        if word in QUANTIZATIONS:
            return replace(self, quantization=word)
        named: dict[str, dict[str, Any]] = {one: {"whole": one, "base": "bf16"} for one in WHOLE}
        named |= {one: {one: True} for one in ("compile", "lora")}
        named |= {f"voices={count}": {"voices": count} for count in (1, 2)}
        if word in named:
            return replace(self, **named[word])
        if key in ("base", "audio") and value in FORMS:
            return replace(self, **{key: value})
        if key in ("attention", "size", "compute", "budget") and value:
            return replace(self, **{key: value})
        kinds = {"steps": int, "frames": int, "runs": int, "profile": int, "kill": int, "gpus": int}
        kinds |= dict.fromkeys(("seconds", "reserve", "limit"), float)
        try:
            return replace(self, **{key: kinds[key](value)})
        except (KeyError, ValueError) as error:
            raise VariantError(f"variant {self.name}: `{word}` is no word of it; see --help") from error

    def inside(self, out: Path) -> dict[str, Any]:
        """What server_inside.py is to do; empty for nothing."""
        wanted: dict[str, Any] = {"limit_gib": self.limit} if self.limit else {}
        return wanted if self.profile < 0 else {**wanted, "profile": self.profile, "out": str(out)}

    def files(self, *, tiny: bool) -> FileSet:
        """The model files it runs on."""
        return FileSet(tiny, self.base, self.audio, self.lora, self.whole)


def variant_of(text: str, start: Variant) -> Variant:
    """The variant that `text` names, beginning from `start`; raises VariantError."""
    variant = replace(start, name=text)
    for word in text.split("+"):
        variant = variant.with_word(word)
    return variant
