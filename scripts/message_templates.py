"""Finds the sentences that EverTalk's source can show to a user, as templates.

In a template what varies is `{0}`, `{1}` and so on: `vae: nothing is connected, but ... of shape {0}; ...`.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("attention", "convert", "wanvideo", "multitalk", "nodes")
MIN_WORDS = 3
"""Shorter pieces are names and units."""
MIN_OWN_WORDS = 2
"""What has fewer outside of its holes is only the frame of another sentence."""
_OWN_WORD = re.compile(r"[A-Za-z]{2,}")

SAYING = {
    "pointed_error",
    "show_on_node",
    "say",
    "_say",
    "snapped_note",
    "lost",
    "changed",
    "needless",
    "warn_on_node",
}
"""Functions that show what they are given; and whatever ends in Error."""
INNER_ERRORS = {"AssertionError", "ValueError", "TypeError", "NoFingerprintError", "DamagedManifestError"}
"""Errors that are caught inside, or that only a mistake in the code brings."""
NOTES = {"note", "notes", "kept_note", "problem"}
"""Names that hold what is shown later."""
PHRASES = {
    "CACHE",
    "COMPILING_BLOCKS",
    "COMPILING_DECODER",
    "FORMS",
    "HANDED_THROUGH",
    "MEMORY",
    "NEEDLESS",
    "PRECISION",
    "TILES",
}
"""Constants that are parts of what is shown."""


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence in the source.

    Attributes:
        text: with {0}, {1}, ... for what varies.
        place: file and line.
        is_shown: whether it is shown surely; others may be pieces of such a sentence, or never be seen.
    """

    text: str
    place: str
    is_shown: bool


def find_templates(root: Path = ROOT) -> list[Template]:
    """All templates of the pack's packages, in the order of files and lines."""
    files = sorted(file for package in PACKAGES for file in (root / package).rglob("*.py"))
    return [one for file in files for one in _templates_of(file, file.relative_to(root).as_posix())]


def _templates_of(file: Path, name: str) -> Iterator[Template]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    shown = {id(text) for part in _shown_parts(tree) for text in _texts_in(part)}
    for text in _texts_in(tree):
        template = template_of(text)
        if len(template.split()) >= MIN_WORDS:
            speaks = len(_OWN_WORD.findall(template)) >= MIN_OWN_WORDS
            yield Template(template, f"{name}:{text.lineno}", speaks and id(text) in shown)


def template_of(text: ast.Constant | ast.JoinedStr) -> str:
    """`shape {0}` of `f"shape {x.shape}"`."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    parts: list[str] = []
    holes = 0
    for value in text.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value))
        else:
            parts.append(f"{{{holes}}}")
            holes += 1
    return "".join(parts)


def _texts_in(tree: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Every text below a node; an f-string as a whole, and what is inside its holes besides."""
    if isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant):
        return  # a docstring
    if isinstance(tree, ast.JoinedStr):
        yield tree
        for value in tree.values:
            if isinstance(value, ast.FormattedValue):
                yield from _texts_in(value.value)
    elif isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree
    else:
        for child in ast.iter_child_nodes(tree):
            yield from _texts_in(child)


def _shown_parts(tree: ast.Module) -> Iterator[ast.AST]:
    """What is given to an error or to a function that shows it, or kept under a name of notes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _shows(node.func):
            yield from node.args
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value and _is_kept(node):
            yield node.value


def _is_kept(assigned: ast.Assign | ast.AnnAssign) -> bool:
    targets = assigned.targets if isinstance(assigned, ast.Assign) else [assigned.target]
    return any(_name_of(target) in NOTES | PHRASES for target in targets)


def _shows(function: ast.expr) -> bool:
    name = _name_of(function)
    if name == "append" and isinstance(function, ast.Attribute):
        return _name_of(function.value) in NOTES
    return name in SAYING or (name.endswith("Error") and name not in INNER_ERRORS)


def _name_of(expression: ast.expr) -> str:
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""
