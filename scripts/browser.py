"""Gets a Chromium for the tests of the editor's part: once, with apt-get, where this user may install.

`make test` calls it. Where it cannot help it says so and why, and the tests in tests/web are skipped.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_S = 600


def find_browser() -> str | None:
    """Path of a Chromium: the one that CHROMIUM names, else the first that is on the path."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for path in map(shutil.which, NAMES) if path), None)


def why_not_installable() -> str:
    """Why this user cannot install it; empty if nothing speaks against it."""
    if shutil.which("apt-get") is None:
        return "this system has no apt-get"
    if os.geteuid() != 0:
        return "apt-get needs root"
    return ""


def install() -> str:
    """Install Debian's Chromium; what went wrong, or an empty text."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        try:
            done = subprocess.run(
                ["apt-get", *step],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"apt-get {step[0]} took more than {TIMEOUT_S} s"
        if done.returncode != 0:
            return f"apt-get {step[0]} failed: {' '.join(done.stdout.split()[-30:])}"
    return ""


def main() -> int:
    """Find or install it; 0 in any case, since all other tests do without."""
    found = find_browser()
    if found:
        print(f"browser: {found} is there")
        return 0
    problem = why_not_installable()
    if not problem:
        print("browser: installing Debian's Chromium", flush=True)
        problem = install()
    if not problem and find_browser() is None:
        problem = "apt-get installed it, but it is not on the path"
    if problem:
        print(
            f"browser: no Chromium, so the tests in tests/web are skipped ({problem}). Install Chromium, or "
            "name one: CHROMIUM=/path/to/it make test",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
