"""Finds every name of the host that a Python source uses, by reading it, and tells which a host lacks.

What is read: imports, attribute chains (`comfy.ops.manual_cast.Linear`), names behind `getattr` and `hasattr`
with a text, attributes of parameters that are annotated with a class of the host, and the arguments of calls.
"""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

HOST_MODULES = frozenset(
    {
        "app",
        "comfy",
        "comfy_api",
        "comfy_config",
        "comfy_execution",
        "comfy_extras",
        "execution",
        "folder_paths",
        "latent_preview",
        "node_helpers",
        "nodes",
        "server",
    }
)
"""The top modules of ComfyUI."""


@dataclass(frozen=True)
class HostName:
    """One use of a name of the host.

    Attributes:
        name: in full, e.g. `comfy.ops.manual_cast.Linear`.
        line: where it stands.
        of_instance: the last part is an attribute of an instance of the class before it.
        asked: it is asked for by `hasattr` or `getattr`, so that it may be missing.
        call: the arguments given, where it is called: how many, and the names of those with a name.
    """

    name: str
    line: int
    of_instance: bool = False
    asked: bool = False
    call: tuple[int, tuple[str, ...]] | None = None


def used_host_names(source: str) -> list[HostName]:
    """Every use of a name of the host in a Python source, in the order met."""
    reader = _Reader()
    reader.visit(ast.parse(source))
    return reader.found


@dataclass
class _Scope:
    names: dict[str, str | None] = field(default_factory=dict[str, str | None])
    """What a local name stands for: a name of the host, or None for something else."""
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Of which of the host's classes a parameter may be an instance."""


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[HostName] = []
        self.scopes = [_Scope()]

    def note(self, name: str, node: ast.AST, **more: Any) -> None:
        use = HostName(name, getattr(node, "lineno", 1), **more)
        if name.split(".", maxsplit=1)[0] in HOST_MODULES and use not in self.found:
            self.found.append(use)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.note(alias.name, node)
            bound = alias.asname or alias.name.split(".")[0]
            target = alias.name if alias.asname else bound
            self.scopes[-1].names[bound] = target if target.split(".")[0] in HOST_MODULES else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        is_host = node.level == 0 and (node.module or "").split(".")[0] in HOST_MODULES
        for alias in node.names:
            full = f"{node.module}.{alias.name}" if is_host else None
            if full is not None:
                self.note(full, node)
            self.scopes[-1].names[alias.asname or alias.name] = full

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outside in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outside)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in (*arguments, node.args.vararg, node.args.kwarg):
            if argument is not None and argument.annotation is not None:
                self.visit(argument.annotation)
        if node.returns is not None:
            self.visit(node.returns)
        rebound = set(_bound_names(node))
        scope = _Scope(dict.fromkeys(rebound))
        for argument in arguments:
            scope.names[argument.arg] = None
            annotated = tuple(self.classes_in(argument.annotation))
            if annotated and argument.arg not in rebound | set(_narrowed_names(node)):
                scope.classes[argument.arg] = annotated
        self.scopes.append(scope)
        for statement in node.body:
            self.visit(statement)
        self.scopes.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def classes_in(self, annotation: ast.expr | None) -> Iterator[str]:
        """The host's classes of an annotation: one, or the parts of `A | B`."""
        if isinstance(annotation, ast.BinOp):
            yield from self.classes_in(annotation.left)
            yield from self.classes_in(annotation.right)
        elif annotation is not None and (full := self.in_full(annotation)) is not None:
            yield full

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not self.note_expression(node):
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        plain = not any(isinstance(one, ast.Starred) for one in node.args)
        keywords = tuple(one.arg for one in node.keywords if one.arg is not None)
        call = (len(node.args), keywords) if plain and len(keywords) == len(node.keywords) else None
        if not self.note_asked(node) and not self.note_expression(node.func, call):
            self.visit(node.func)
        for part in (*node.args, *(one.value for one in node.keywords)):
            self.visit(part)

    def note_asked(self, node: ast.Call) -> bool:
        """Note what `getattr(of the host, "name")`, `hasattr` or `import_module("of the host")` asks for."""
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [
            one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        if function == "import_module" and texts:
            self.note(texts[0], node)
        elif function in {"getattr", "hasattr"} and texts:
            return self.note_expression(ast.Attribute(node.args[0], texts[0], ast.Load()), None, node)
        return False

    def note_expression(
        self,
        node: ast.expr,
        call: tuple[int, tuple[str, ...]] | None = None,
        asked: ast.Call | None = None,
    ) -> bool:
        """Note a name or a chain of attributes; whether it is of the host."""
        full = self.in_full(node)
        place = asked or node
        if full is not None and (call or asked or isinstance(node, ast.Attribute)):
            self.note(full, place, call=call, asked=asked is not None)
            return True
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            for owner in self.classes_of(node.value.id):
                self.note(f"{owner}.{node.attr}", place, of_instance=True, asked=asked is not None)
        return False

    def in_full(self, node: ast.expr) -> str | None:
        """The name in full of a name or a chain of attributes that begins with one of the host's."""
        if isinstance(node, ast.Attribute):
            owner = self.in_full(node.value)
            return None if owner is None else f"{owner}.{node.attr}"
        if not isinstance(node, ast.Name):
            return None
        return next((one.names[node.id] for one in reversed(self.scopes) if node.id in one.names), None)

    def classes_of(self, name: str) -> tuple[str, ...]:
        scope = next((one for one in reversed(self.scopes) if name in one.names), _Scope())
        classes = scope.classes.get(name, ())
        return classes if len(classes) == 1 else ()  # of a union one class alone may have the attribute


def _bound_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """The names that a function's body binds, which hide those outside."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _narrowed_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """The names whose class a function asks for, by `isinstance` or `match`: it may be a narrower one."""
    for node in ast.walk(function):
        asked = None
        if isinstance(node, ast.Call) and _is_name(node.func, "isinstance"):
            asked = node.args[0]
        elif isinstance(node, ast.Match):
            asked = node.subject
        if isinstance(asked, ast.Name):
            yield asked.id


def why_missing(use: HostName) -> str | None:
    """What the host at hand lacks of this use; None where it has all."""
    owner: Any = None
    parts = use.name.split(".")
    for index, part in enumerate(parts):
        so_far = ".".join(parts[: index + 1])
        try:
            owner = importlib.import_module(so_far) if index == 0 else _part_of(owner, part, so_far)
        except (ImportError, AttributeError):
            # What a method sets is known by its text alone.
            of_instance = use.of_instance and index == len(parts) - 1
            if inspect.isclass(owner) and part in _set_by_methods(owner, of_instance=of_instance):
                return None
            return f"{so_far} is not there"
    return None if use.call is None else _why_not_callable(owner, use)


def _part_of(owner: Any, part: str, full: str) -> Any:
    if inspect.ismodule(owner) and not hasattr(owner, part):
        return importlib.import_module(full)
    return getattr(owner, part)


def _set_by_methods(owner: type, *, of_instance: bool) -> set[str]:
    """What the methods of a class and its bases set on the class, or else on `self`; then annotations too."""
    found: set[str] = set()
    for base in owner.__mro__[:-1]:
        found |= set(vars(base).get("__annotations__", {})) if of_instance else set()
        holder = "self" if of_instance else base.__name__
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # written in C
            continue
        stored = [one for one in ast.walk(tree) if isinstance(one, ast.Attribute)]
        found |= {
            one.attr for one in stored if isinstance(one.ctx, ast.Store) and _is_name(one.value, holder)
        }
    return found


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _why_not_callable(function: Any, use: HostName) -> str | None:
    assert use.call is not None
    num_arguments, keywords = use.call
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None  # written in C, or no function: it says nothing
    try:
        signature.bind(*range(num_arguments), **dict.fromkeys(keywords))
    except TypeError as error:
        return f"{use.name}{signature} is not called so: {error}"
    return None
