"""Every name of the host that the pack uses is there in the host at hand."""

from pathlib import Path

import pytest
from evertalk_pack.nodes.host.compat.optional_names import OPTIONAL_NAMES
from host_names import HostName, used_host_names, why_missing

ROOT = Path(__file__).resolve().parent.parent
COMPAT = ROOT / "nodes" / "host" / "compat"


def uses() -> list[tuple[Path, HostName]]:
    files = sorted([ROOT / "__init__.py", *(ROOT / "nodes").rglob("*.py")])
    return [(file, use) for file in files for use in used_host_names(file.read_text(encoding="utf-8"))]


def is_optional(name: str) -> bool:
    return any(name == optional or name.startswith(f"{optional}.") for optional in OPTIONAL_NAMES)


def place(file: Path, use: HostName) -> str:
    return f"{file.relative_to(ROOT)}:{use.line}"


@pytest.mark.host
def test_every_name_of_the_host_that_the_pack_uses_is_there() -> None:
    found = uses()
    assert len({use.name for _file, use in found}) > 100, "the reader sees the pack's names"
    missing = [
        f"{place(file, use)}: {reason}"
        for file, use in found
        if not is_optional(use.name) and (reason := why_missing(use)) is not None
    ]
    assert missing == [], "\n" + "\n".join(missing)


def test_names_that_may_be_missing_are_used_by_the_adapters_alone() -> None:
    outside = [
        place(file, use) for file, use in uses() if is_optional(use.name) and COMPAT not in file.parents
    ]
    assert outside == []


def test_every_name_declared_as_optional_is_used() -> None:
    used = {use.name for _file, use in uses()}
    unused = [name for name in OPTIONAL_NAMES if not any(f"{one}.".startswith(f"{name}.") for one in used)]
    assert unused == []


def reasons(source: str) -> list[str]:
    return [reason for use in used_host_names(source) if (reason := why_missing(use)) is not None]


@pytest.mark.host
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import comfy.no_such_module", "comfy.no_such_module is not there"),
        ("from comfy.ops import no_such_name", "comfy.ops.no_such_name is not there"),
        ("import comfy.ops\ncomfy.ops.no_such_ops()", "comfy.ops.no_such_ops is not there"),
        ("import comfy.ops as o\nx = o.manual_cast.NoLayer", "comfy.ops.manual_cast.NoLayer is not there"),
        ("def f():\n    import comfy.ops\n    return comfy.ops.gone", "comfy.ops.gone is not there"),
        ("from comfy import ops\nclass A(ops.Gone): pass", "comfy.ops.Gone is not there"),
        ("import comfy.ops\n@comfy.ops.gone\ndef f(x=comfy.ops.cast_to): ...", "comfy.ops.gone is not there"),
        (
            "from comfy_api.latest import io\ndef f(x: io.Gone.Type): ...",
            "comfy_api.latest.io.Gone is not there",
        ),
        ("import folder_paths\nfolder_paths.gone('a')['b'].c", "folder_paths.gone is not there"),
        ("import comfy.ops\ngetattr(comfy.ops, 'gone', None)", "comfy.ops.gone is not there"),
        ("import comfy.ops\nhasattr(comfy.ops, 'gone')", "comfy.ops.gone is not there"),
        ("import importlib\nimportlib.import_module('comfy.gone')", "comfy.gone is not there"),
        (
            "from comfy.model_patcher import ModelPatcher\ndef f(model: ModelPatcher):\n    model.gone()",
            "comfy.model_patcher.ModelPatcher.gone is not there",
        ),
        ("from server import PromptServer\nPromptServer.gone", "server.PromptServer.gone is not there"),
    ],
)
def test_a_removed_name_is_caught(source: str, reason: str) -> None:
    assert reasons(source) == [reason]


@pytest.mark.host
@pytest.mark.parametrize(
    ("call", "part"),
    [
        ("get_filename_list()", "missing a required argument"),
        ("get_filename_list('loras', no_such=1)", "unexpected keyword argument 'no_such'"),
        ("get_filename_list('loras', 1, 2, 3, 4, 5)", "too many positional arguments"),
    ],
)
def test_a_call_that_the_host_does_not_take_is_caught(call: str, part: str) -> None:
    imports = ("import folder_paths\nfolder_paths.", "from folder_paths import get_filename_list\n")
    for source in imports:
        (found,) = reasons(f"{source}{call}")
        assert part in found


@pytest.mark.host
@pytest.mark.parametrize(
    "source",
    [
        "from comfy.model_patcher import ModelPatcher\ndef f(model: ModelPatcher):\n    model.load_device",
        "from comfy.model_patcher import ModelPatcher\ndef f(model: ModelPatcher):\n    model = g(model)\n"
        "    model.clone().anything",
        "import folder_paths\ndef f(folder_paths):\n    folder_paths.of_another",
        "import folder_paths\ndef f():\n    folder_paths = 3\n    return folder_paths.real",
        "from comfy_api.latest import io\n"
        "def f(one: io.Input):\n    return isinstance(one, io.Combo.Input) and one.options",
        "from comfy_api.latest import io\n"
        "def f(one: io.Input):\n    match one:\n        case io.Combo.Input():\n            one.options",
        "from server import PromptServer\nPromptServer.instance.routes",
        "from .nodes import of_ours\nof_ours.anything",
        "import comfy.ops\ncomfy.ops.manual_cast.Linear(1, 2, bias=False)",
        "import comfy.ops\ncomfy.ops.manual_cast.Linear(*sizes, **more)",
    ],
)
def test_what_the_host_has_and_what_is_not_of_the_host_is_let_pass(source: str) -> None:
    assert reasons(source) == []
