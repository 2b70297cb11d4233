"""What the server and a worker say to each other: JSON over a socket pair that nobody else has an end of.

Tensors go by torch's collectives; here is only said which ones come. Nothing is pickled.
"""

import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

MAX_BYTES = 64 * 2**20
"""Of a message; a LoRA names each of its changes in one."""

Message = dict[str, Any]


class Channel:
    """One end.

    Args:
        connection: of the socket; the channel closes it.
    """

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def send(self, message: Message) -> None:
        """Say something; raises OSError once the other end is gone."""
        self._connection.send_bytes(json.dumps(message).encode())

    def receive(self) -> Message | None:
        """Wait for the next message; None when the other end is gone."""
        try:
            return json.loads(self._connection.recv_bytes(MAX_BYTES))
        except (EOFError, OSError):
            return None

    def shut(self) -> None:
        """End the talk for both, also for a thread that waits in `receive`; the descriptor stays ours."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as other:
            other.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of this end."""
        self._connection.close()


def channel_pair() -> tuple[Channel, socket.socket]:
    """This process's end, and the other one to give to a child."""
    own, other = socket.socketpair()
    return Channel(Connection(own.detach())), other


@dataclass(frozen=True, slots=True)
class TensorForm:
    """What a receiver must know of a tensor that comes by a collective.

    Attributes:
        name: what it is.
        shape: its sizes.
        dtype: torch's name of it, without `torch.`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, name: str, tensor: torch.Tensor) -> "TensorForm":
        """A tensor's."""
        return cls(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    @classmethod
    def read(cls, said: list[Any]) -> "TensorForm":
        """As a message holds it."""
        name, shape, dtype = said
        return cls(name, tuple(shape), dtype)

    def said(self) -> list[Any]:
        """For a message."""
        return [self.name, list(self.shape), self.dtype]

    def empty(self, device: torch.device) -> torch.Tensor:
        """Room for it."""
        return torch.empty(self.shape, dtype=getattr(torch, self.dtype), device=device)
