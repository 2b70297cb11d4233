"""`python die_with_parent.py PARENT PROGRAM ARGUMENT...`: the kernel kills the program when its parent dies.

A worker that is killed has no chance to stop its server, and a server that lived on would hold its GPU. The
setting survives exec, so it is made here, between fork and exec, where the worker's many threads do no harm.
Linux only; elsewhere the program runs without.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become the command; if the parent is gone already, end."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
