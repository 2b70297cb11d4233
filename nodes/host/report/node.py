"""The root of the pack's nodes: what holds for every one of them."""

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Any

from comfy_api.latest import io

from ....multitalk.common.errors import EverTalkError, InputError
from ..compat.search_words import search_words
from .machine_faults import machine_faults
from .outputs import new_nan
from .widgets import check_kind, check_widget

LOG = logging.getLogger("evertalk")

CATEGORY = "EverTalk"
"""Where the editor's menu has all of them."""

LITERALS = (str, int, float, list, dict)
"""What JSON can hold; a bool is an int."""

CARRIED: Mapping[str, type] = {"CONDITIONING": list, "AUDIO": dict}
"""Kinds of sockets whose values are of such a type themselves; every other carries a tensor or an object."""

LATENT = "LATENT"
"""The decode node looks itself at what comes there, and has more to say."""

MAX_NAME_CHARACTERS = 1000
"""Of a choice, which is a word or a file in subfolders; the longest path of Linux has 4,096."""


class EverTalkNode(io.ComfyNode):
    """A node of the pack.

    A socket takes what another node gives. A prompt may hold a text or a number in its place, which the host
    passes on; it is refused here by the socket's name, before the node or what it asks for runs.
    `validate_inputs` may raise: the error's sentence is the refusal. `fingerprint_inputs` never raises: where
    nothing can be said, the node runs and says itself what is wrong. Category and search words are added to
    the schema.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, wrap in WRAPPED.items():
            given = cls.__dict__.get(name)
            # The host runs a copy of the class, in which they are wrapped already.
            if given is not None and not hasattr(given.__func__, "__wrapped__"):
                setattr(cls, name, classmethod(wrap(given.__func__)))


def check_inputs(node: type[io.ComfyNode], values: Mapping[str, object], *, is_running: bool = False) -> None:
    """Refuse a literal in place of a link, and a widget's value that is of another type than the widget.

    Args:
        node: whose schema says what is a socket and what is a widget.
        values: by input; one that is left out is not looked at.
        is_running: whether links have their values. Before, a link is None; then, None is a value that is
            missing, unless the input is optional, or fetched only when the node asks for it.

    Raises:
        InputError: names the input, what came, what it takes and what to do.
    """
    for expected in node.define_schema().inputs:
        if expected.id not in values:
            continue
        name, value, takes = expected.id, values[expected.id], expected.get_io_type()
        if value is None:
            if not is_running or takes == LATENT or expected.optional or getattr(expected, "lazy", False):
                continue
            if isinstance(expected, io.WidgetInput):
                check_widget(expected, value)
            raise _nothing(name, takes)
        if isinstance(expected, io.Combo.Input):
            _check_choice(name, value)
        elif isinstance(expected, io.WidgetInput):
            check_kind(expected, value)
        elif takes != LATENT and isinstance(value, LITERALS) and not isinstance(value, _carried(takes)):
            raise InputError(
                f"{name}: got the value {value!r}, but this is a socket, which takes what another node gives "
                f"({takes}). Connect such a node's output."
            )


def check_fetched(node: type[io.ComfyNode], **values: object) -> None:
    """Refuse lazy sockets that hold nothing although the node has asked for them, by name.

    Raises:
        InputError: null came in place of a link.
    """
    for expected in node.define_schema().inputs:
        if expected.id in values and values[expected.id] is None:
            raise _nothing(expected.id, expected.get_io_type())


def _nothing(name: str, takes: str) -> InputError:
    return InputError(f"{name}: got nothing, expected {takes}. Give it a value or a link.")


def _carried(io_type: str) -> tuple[type, ...]:
    """What a socket may carry of what JSON can hold; a socket of several kinds names them with commas."""
    return tuple(CARRIED[kind] for kind in io_type.split(",") if kind in CARRIED)


def _check_choice(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InputError(f"{name}: {value!r} is not text. Choose one of those that are offered.")
    if len(value) > MAX_NAME_CHARACTERS:
        raise InputError(
            f"{name}: {len(value)} characters, expected {MAX_NAME_CHARACTERS} at most. Choose one of those "
            "that are offered."
        )


def _running(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def ran(cls: type[io.ComfyNode], *args: Any, **inputs: Any) -> Any:
        check_inputs(cls, inputs, is_running=True)
        with machine_faults(lambda: cls.define_schema().display_name):
            return function(cls, *args, **inputs)

    return ran


def _described(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def described(cls: type[io.ComfyNode]) -> io.Schema:
        schema: io.Schema = function(cls)
        schema.category = CATEGORY
        for name, words in search_words(schema.node_id).items():
            setattr(schema, name, words)
        return schema

    return described


def _validating(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def validated(cls: type[io.ComfyNode], *args: Any, **inputs: Any) -> Any:
        try:
            check_inputs(cls, inputs)
            return _answer(function(cls, *args, **inputs))
        except EverTalkError as error:
            return str(error)

    @wraps(function)
    async def validated_later(cls: type[io.ComfyNode], *args: Any, **inputs: Any) -> Any:
        try:
            check_inputs(cls, inputs)
            return _answer(await function(cls, *args, **inputs))
        except EverTalkError as error:
            return str(error)

    made = validated_later if iscoroutinefunction(function) else validated
    # The host asks which inputs the function names, and does not look through wrappers.
    setattr(made, "__signature__", signature(function))  # noqa: B010  no attribute of functions by type
    return made


def _answer(said: bool | str | None) -> bool | str:
    """What the host takes for nothing wrong, from a function that says nothing."""
    return True if said is None else said


def _never_raising(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def fingerprint(cls: type[io.ComfyNode], *args: Any, **inputs: Any) -> Any:
        try:
            return function(cls, *args, **inputs)
        except Exception as error:  # noqa: BLE001  the host only wants to know whether something changed
            LOG.info("%s is run again: what it is given cannot be told apart (%s)", cls.__name__, error)
            return new_nan()

    return fingerprint


WRAPPED: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "define_schema": _described,
    "validate_inputs": _validating,
    "check_lazy_status": _running,
    "execute": _running,
    "fingerprint_inputs": _never_raising,
}
"""The functions of a node that the host calls, and what each is wrapped in."""
