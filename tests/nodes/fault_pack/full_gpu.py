"""Takes all memory of a GPU that is free, in this process or in one of its own, and gives it back.

    python tests/nodes/fault_pack/full_gpu.py

As a process: prints `ready`; from the first line on its standard input it takes all that is free, again and
again, until its input ends or LONGEST_S are over, and prints how many GB it had at the most.
"""

import json
import sys
import threading
import time
from types import TracebackType

import torch

LEAST_BYTES = 2 * 2**20
"""Less is left: PyTorch's own smallest piece."""

LONGEST_S = 60.0
POLL_S = 0.05


class FullGpu:
    """While it is entered, nothing is free on the GPU but what others give back.

    Attributes:
        most_bytes: that were taken at once.
    """

    def __init__(self) -> None:
        self.most_bytes = 0
        self._pieces: list[torch.Tensor] = []
        self._is_active = False

    def __enter__(self) -> "FullGpu":
        self._is_active = True
        try:
            self.fill_again()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_active = False
        self._pieces.clear()
        torch.cuda.empty_cache()

    def fill_again(self) -> None:
        """Take what has become free; nothing where it is not entered."""
        if not self._is_active:
            return
        torch.cuda.empty_cache()
        size = torch.cuda.mem_get_info()[0]
        while size >= LEAST_BYTES:
            size = size if self._take(size) else size // 2
        self.most_bytes = max(self.most_bytes, sum(piece.nbytes for piece in self._pieces))

    def _take(self, size: int) -> bool:
        try:
            self._pieces.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.cuda.OutOfMemoryError:
            return False
        return True


def main() -> None:
    """See the file's beginning."""
    torch.zeros(1, device="cuda")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        return
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    ends_at = time.monotonic() + LONGEST_S
    with FullGpu() as gpu:
        while time.monotonic() < ends_at and not ended.wait(POLL_S):
            gpu.fill_again()
    sys.stdout.write(json.dumps({"taken_gb": round(gpu.most_bytes / 1e9, 2)}))


if __name__ == "__main__":
    main()
