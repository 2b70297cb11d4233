"""Where Ray is to be found; looked at before Ray itself, whose import takes seconds, is needed."""

import socket
from urllib.parse import urlsplit

from .errors import ClusterError

AUTO = "auto"
CLIENT_PORT = 10001
REACH_S = 5.0


def check_reachable(address: str | None) -> None:
    """Refuse an address at which nobody listens; `auto` and None, which starts Ray here, name none.

    Raises:
        ClusterError: nobody listens, or it is no address.
    """
    if address is None or address == AUTO:
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port or CLIENT_PORT
    except ValueError as error:
        raise ClusterError(
            f"--address {address}: {error}; expected auto, HOST:PORT or ray://HOST:PORT."
        ) from error
    try:
        socket.create_connection((host or "", port), REACH_S).close()
    except OSError as error:
        raise ClusterError(unreachable(address, str(error))) from error


def unreachable(address: str | None, reason: str) -> str:
    """The sentence that tells it."""
    if address is None:
        return f"Ray does not start on this machine: {reason}."
    return (
        f"--address {address}: no Ray cluster can be reached there ({reason}). Look with `ray status` on its "
        "head, and that this machine may speak to it; without --address Ray is started here."
    )
