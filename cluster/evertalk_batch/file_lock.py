"""A lock on an open file: one holder on all machines that share the disk; it ends with the process."""

import fcntl
from typing import TextIO


def try_lock(file: TextIO) -> bool:
    """Take the lock of a file that is open for writing, until it is closed; False if another holds it.

    On NFS Linux locks the file's bytes on the server, so that other machines see it too.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
