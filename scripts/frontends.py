"""Gets the newest editor beside the test host's own, for the tests of the editor's part.

`make test` calls it. ComfyUI 0.3.75 comes with the frontend that requirements/host.txt pins; people who keep
theirs up to date have a later one. It is unpacked into .cache/frontends, and a server shows it with
`--front-end-root`.
"""

import shutil
import sys
import zipfile
from pathlib import Path

from host import CACHE, VENV, SetupError, run, venv_python

NEWEST = "1.58.1"
"""The newest comfyui-frontend-package when this was pinned, 2026-11."""

PACKAGE = "comfyui-frontend-package"
INSIDE = "comfyui_frontend_package/static/"
"""Where the wheel keeps the editor."""


def folder_of(version: str = NEWEST) -> Path:
    """Where a frontend is unpacked; the folder is there only when it is whole."""
    return CACHE / "frontends" / version


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack the editor in a wheel; raises SetupError if it holds none."""
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial, [name for name in archive.namelist() if name.startswith(INSIDE)])
    unpacked = partial / INSIDE
    if not (unpacked / "index.html").is_file():
        shutil.rmtree(partial, ignore_errors=True)
        raise SetupError(f"{wheel.name} holds no editor: the package index served another file.")
    unpacked.rename(folder)
    shutil.rmtree(partial)


def install(folder: Path) -> None:
    """Download and unpack the frontend that a folder is named after; raises SetupError if that fails."""
    downloads = folder.with_suffix(".download")
    pip = [
        str(venv_python(VENV)),
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    wanted = f"{PACKAGE}=={folder.name}"
    run([*pip, "--no-deps", "--dest", str(downloads), wanted], f"Downloading {wanted}")
    unpack(next(downloads.glob("*.whl")), folder)
    shutil.rmtree(downloads)


def main() -> int:
    """Get it unless it is there; 1 if that failed."""
    folder = folder_of()
    if folder.is_dir():
        print(f"frontends: {NEWEST} is there")
        return 0
    print(f"frontends: downloading {NEWEST}", flush=True)
    try:
        install(folder)
    except SetupError as error:
        print(f"frontends: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
