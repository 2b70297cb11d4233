"""How much memory a server takes at its peak, for runs that do not tell it themselves."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from .comfy_client import ServerError
from .json_file import JsonObject

_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
_RESET_PEAK = "5"


class Peak:
    """Measures while a job runs; `stats` asks the server for its devices."""

    def __init__(self, pid: int | None, stats: Callable[[], JsonObject]) -> None:
        self._process = Path(f"/proc/{pid}")
        self._stats = stats
        self.vram_bytes: int | None = None
        with contextlib.suppress(OSError):
            (self._process / "clear_refs").write_text(_RESET_PEAK)

    @property
    def ram_bytes(self) -> int | None:
        """The process' resident peak since this was made; None where the system does not tell."""
        with contextlib.suppress(OSError):
            found = _PEAK.search((self._process / "status").read_text())
            return int(found[1]) * 1024 if found else None
        return None

    def look(self) -> None:
        """Look how much of the GPU is taken now."""
        with contextlib.suppress(ServerError):
            devices = self._stats().get("devices", [])
            taken = [one["vram_total"] - one["vram_free"] for one in devices if one.get("type") == "cuda"]
            if taken:
                self.vram_bytes = max(sum(taken), self.vram_bytes or 0)
