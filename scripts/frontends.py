"""Gets the newest editor beside the test host's own, for the tests of the editor's part.

`make test` calls it. ComfyUI 0.3.75 comes with the frontend that requirements/host.txt pins; people who keep
theirs up to date have a later one. It is unpacked into .cache/frontends, and a server shows it with
`--front-end-root`.
"""

import shutil
import sys
from pathlib import Path

from host import CACHE, VENV, SetupError, download, unpack

NEWEST = "1.58.1"
"""The newest comfyui-frontend-package when this was pinned, 2026-11."""

PACKAGE = "comfyui-frontend-package"
INSIDE = "comfyui_frontend_package/static/"
"""Where the wheel keeps the editor."""


def folder_of(version: str = NEWEST) -> Path:
    """Where a frontend is unpacked; the folder is there only when it is whole."""
    return CACHE / "frontends" / version


def install(folder: Path) -> None:
    """Download and unpack the frontend that a folder is named after; raises SetupError if that fails."""
    downloads, wanted = folder.with_suffix(".download"), f"{PACKAGE}=={folder.name}"
    unpack_editor(download(VENV, wanted, downloads, f"Downloading {wanted}"), folder)
    shutil.rmtree(downloads)


def unpack_editor(wheel: Path, folder: Path) -> None:
    """Unpack the editor in a wheel; raises SetupError if it holds none."""
    unpack(wheel, INSIDE, folder, lambda found: (found / "index.html").is_file(), "editor")


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
