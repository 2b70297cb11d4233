"""A step of a setup: it says what it does, and a failed command says what to do about it."""

import subprocess

NEEDED_DISK_GB = 9

REMEDIES = (
    (
        ("no space left", "disk quota"),
        f"The disk is full: free {NEEDED_DISK_GB} GB (or set TMPDIR to a roomier disk).",
    ),
    (
        (
            "temporary failure",
            "name or service not known",
            "connectionerror",
            "could not resolve host",
            "unreachable",
            "timed out",
            "newconnection",
        ),
        "The network could not be reached: check it and the proxy (pip config list, git config http.proxy).",
    ),
    (
        ("certificate", "ssl"),
        "A server's certificate was refused: set PIP_CERT (for git: GIT_SSL_CAINFO) to your organisation's "
        "bundle.",
    ),
    (
        ("remote branch",),
        "The repository has no such tag: `git ls-remote --tags URL` lists those it has; CORE_URL=... names "
        "another repository.",
    ),
    (
        ("conflicting dependencies", "resolutionimpossible"),
        "This ComfyUI and the pins in requirements/ want different releases of one package, which the lines "
        "above name: change that pin, or take another ComfyUI.",
    ),
    (
        ("from versions: none",),
        "The package index offers no release at all: check the network, proxy and index (pip config list).",
    ),
    (
        ("no matching distribution", "requires-python", "requires a different python"),
        "The package index has no such release for this Python: use 3.11 to 3.13 (PYTHON=python3.12).",
    ),
    (("permission denied",), "A folder is not writable: check the owner of .venv and .cache."),
)


class SetupError(Exception):
    """The host could not be set up; the message says what to do."""


def say(text: str) -> None:
    """Report one step."""
    print(f"host: {text}", flush=True)


def remedy(output: str) -> str:
    """What to do about a failed command, judged by its output."""
    lowered = output.lower()
    for signs, advice in REMEDIES:
        if any(sign in lowered for sign in signs):
            return advice
    return "Read the lines above, then run `make host` again: what is finished is not repeated."


def run(command: list[str], doing: str) -> None:
    """Run a command silently; raises SetupError with its last lines and a remedy if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        last_lines = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise SetupError(f"{doing} failed.\n{last_lines}\n{remedy(done.stdout)}")
