"""Writes what ComfyUI's editor translates the nodes with: `locales/en` and `locales/zh`.

    python scripts/make_locales.py --comfyui /path/to/ComfyUI [--check] [--take MORE.json]

The English is taken from the nodes, as a real server describes them, and from the messages in the source.
The Chinese is `locales/chinese.json`, kept by hand; what it lacks and what it holds in vain is listed
(exit code 1).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))  # the server is the demo's
from chinese import CHINESE, LOCALES, Catalogue, english_of, json_text, read_chinese  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from message_templates import Template, find_templates  # noqa: E402
from workflow_notes import note_texts  # noqa: E402

JsonObject: TypeAlias = dict[str, Any]

OURS = "EverTalk"
OWN_TYPES = "EVERTALK_"
PROPER_NAMES = frozenset(
    {"base_model", "talk_model", "lora", "encoder", "file", "scheduler", "sampler_name", "attention_mode"}
)
"""Widgets whose choices are names, of files or of methods: translated only where the catalogue does it."""
NAMES_OF_METHODS = frozenset(
    {"infinitetalk", "multitalk", "flashtalk", "skyreels", "bf16", "fp16", "fp32"}
    | {
        "fp8_e4m3fn",
        "fp8_e4m3fn_fast",
        "fp8_rowwise",
        "fp8_e5m2",
        "lab",
        "mkl",
        "480p",
        "720p",
        "bfloat16",
        "float16",
        "float32",
    }
)
SPECIAL = "{}@|"
"""Characters that mean something in the editor's message format."""


@dataclass(frozen=True, slots=True)
class Words:
    """Everything in English that needs Chinese, by the catalogue's sections.

    Attributes:
        needed: for each section, the texts that must be there.
        allowed: for each section, those that may be there besides.
    """

    needed: dict[str, list[str]]
    allowed: dict[str, set[str]]

    def missing(self, chinese: Catalogue) -> list[str]:
        """What has no Chinese."""
        return [
            f"{section}: no Chinese for {text!r}"
            for section, texts in self.needed.items()
            for text in texts
            if text not in getattr(chinese, section)
        ]

    def stale(self, chinese: Catalogue) -> list[str]:
        """What has Chinese, but is not said (any more)."""
        return [
            f"{section}: nothing says {text!r} any more"
            for section, texts in self.needed.items()
            for text in getattr(chinese, section)
            if text not in self.allowed[section] and text not in texts
        ]


def taken_over(words: Words, chinese: Catalogue, more: Mapping[str, Mapping[str, str]]) -> Catalogue:
    """The catalogue without what is stale, and with what `more`, of the same sections, has for the texts."""
    taken: dict[str, dict[str, str]] = {}
    for section, needed in words.needed.items():
        said = words.allowed[section] | set(needed)
        both = {**getattr(chinese, section), **more.get(section, {})}
        taken[section] = {text: both[text] for text in both if text in said}
    return Catalogue(**taken)


def own_nodes(object_info: JsonObject) -> JsonObject:
    """EverTalk's part of what the server says of its nodes."""
    return {name: node for name, node in object_info.items() if name.startswith(OURS)}


def node_inputs(node: JsonObject) -> dict[str, tuple[str, JsonObject]]:
    """The type and the options of each input."""
    groups = node["input"]
    found: dict[str, tuple[str, JsonObject]] = {}
    for group in ("required", "optional"):
        for name, (kind, *rest) in groups.get(group, {}).items():
            found[name] = (kind, rest[0] if rest else {})
    return found


def node_outputs(node: JsonObject) -> list[tuple[str, str, str]]:
    """Name, type and tooltip of each output."""
    tooltips = node.get("output_tooltips") or [None] * len(node["output"])
    return [
        (name, kind, tooltip or "")
        for name, kind, tooltip in zip(node["output_name"], node["output"], tooltips, strict=True)
    ]


def words_of(nodes: JsonObject, templates: Iterable[Template]) -> Words:
    """Everything that needs Chinese."""
    names, options, texts = list[str](), list[str](), list[str]()
    listed = set[str]()
    for node in nodes.values():
        names.append(node["display_name"])
        texts.append(node["description"])
        for name, (kind, details) in node_inputs(node).items():
            names.append(name)
            texts.append(details["tooltip"])
            choices = translatable_choices(kind, details)
            listed.update(choices)
            options += [] if name in PROPER_NAMES else [c for c in choices if c not in NAMES_OF_METHODS]
        for name, kind, tooltip in node_outputs(node):
            names += [name] if name != kind else []
            names += [type_name(kind)] if kind.startswith(OWN_TYPES) else []
            texts += [tooltip] if tooltip else []
    sentences = list(templates)
    needed = {
        "names": names,
        "options": options,
        "texts": texts,
        "notes": note_texts(),
        "messages": [one.text for one in sentences if one.is_shown],
    }
    allowed = {section: set[str]() for section in needed}
    allowed["options"] = listed
    allowed["messages"] = {one.text for one in sentences}
    return Words({section: list(dict.fromkeys(found)) for section, found in needed.items()}, allowed)


def translatable_choices(kind: str, details: JsonObject) -> list[str]:
    """What an input offers, unless that is what lies in the user's input folder."""
    lists_uploads = any(details.get(f"{what}_upload") for what in ("image", "audio", "video"))
    return [] if kind != "COMBO" or lists_uploads else details["options"]


def type_name(kind: str) -> str:
    """`audio embeds` of `EVERTALK_AUDIO_EMBEDS`."""
    return kind.removeprefix(OWN_TYPES).lower().replace("_", " ")


def escaped(text: str) -> str:
    """The text with the message format's own characters made harmless."""
    return "".join(f"{{'{letter}'}}" if letter in SPECIAL else letter for letter in text)


def node_definitions(nodes: JsonObject, language: Catalogue) -> JsonObject:
    """`nodeDefs.json`."""
    return {node_id: _node_definition(node, language) for node_id, node in nodes.items()}


def _node_definition(node: JsonObject, language: Catalogue) -> JsonObject:
    inputs: JsonObject = {}
    for name, (kind, details) in node_inputs(node).items():
        own_name = language.names[name]
        tooltip = language.texts[details["tooltip"]]
        if own_name != name:
            tooltip += f" [{name}]"  # what documents and messages call it
        inputs[name] = {"name": own_name, "tooltip": escaped(tooltip)}
        words = [choice for choice in translatable_choices(kind, details) if choice in language.options]
        if words:
            inputs[name]["options"] = {choice: language.options[choice] for choice in words}
    outputs: JsonObject = {}
    for slot, (name, kind, tooltip) in enumerate(node_outputs(node)):
        said: JsonObject = {} if name == kind else {"name": language.names[name]}  # else the host's own
        outputs[str(slot)] = {**said, **({"tooltip": escaped(language.texts[tooltip])} if tooltip else {})}
    return {
        "display_name": language.names[node["display_name"]],
        "description": escaped(language.texts[node["description"]]),
        "inputs": inputs,
        "outputs": outputs,
    }


def main_words(nodes: JsonObject, language: Catalogue) -> JsonObject:
    """`main.json`: the names of socket types, and the messages, which `web/messages.js` reads."""
    kinds = dict.fromkeys(kind for node in nodes.values() for _, kind, _ in node_outputs(node))
    own_kinds = [kind for kind in kinds if kind.startswith(OWN_TYPES)]
    return {
        "dataTypes": {kind: language.names[type_name(kind)] for kind in own_kinds},
        "evertalk": {"messages": language.messages},
    }


def locale_files(nodes: JsonObject, chinese: Catalogue) -> dict[str, str]:
    """The text of every file below `locales/` that the host reads, by its path there.

    Raises:
        KeyError: the catalogue lacks something.
    """
    files: dict[str, str] = {}
    for code, language in (("en", english_of(chinese)), ("zh", chinese)):
        files[f"{code}/main.json"] = json_text(main_words(nodes, language))
        files[f"{code}/nodeDefs.json"] = json_text(node_definitions(nodes, language))
    return files


def out_of_date(files: dict[str, str]) -> dict[str, str]:
    """Those whose text on disk is another."""
    return {
        name: text
        for name, text in files.items()
        if not (LOCALES / name).is_file() or (LOCALES / name).read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write the files, or with --check only say which are out of date (exit code 1)."""
    parser = argparse.ArgumentParser(description="Write the editor's translations.")
    parser.add_argument("--comfyui", type=Path, default=ROOT / ".cache" / "ComfyUI", help="ComfyUI's folder")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    parser.add_argument(
        "--take",
        type=Path,
        help="JSON of the catalogue's form: take over what is missing, drop what is stale",
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as base, ComfyServer(chosen.comfyui, Path(base)) as server:
        nodes = own_nodes(server.client.object_info())
    chinese = read_chinese()
    words = words_of(nodes, find_templates())
    if chosen.take:
        chinese = taken_over(words, chinese, json.loads(chosen.take.read_text(encoding="utf-8")))
        CHINESE.write_text(json_text(asdict(chinese)), encoding="utf-8", newline="\n")
    problems = [*words.missing(chinese), *words.stale(chinese)]
    if problems:
        print("\n".join(f"locales: {problem}" for problem in problems))
        print(f"locales: mend {CHINESE.relative_to(ROOT)}, then run this again")
        return 1
    stale = out_of_date(locale_files(nodes, chinese))
    for name, text in stale.items():
        print(f"locales: {name} {'is out of date' if chosen.check else 'written'}")
        if not chosen.check:
            (LOCALES / name).parent.mkdir(parents=True, exist_ok=True)
            (LOCALES / name).write_text(text, encoding="utf-8", newline="\n")
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
