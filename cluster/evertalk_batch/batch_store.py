"""The folder of a batch, on a disk that the driver and all workers see.

batch.json        the options of `run`, for `status` and `retry`
results.jsonl     one line a job that has ended, see results
output/ID/        the job's video, and while it runs its finished windows
logs/ID.log       what was told of the job
attempts/         what the jobs that run now have done so far, see attempts
parts/ID/         the sounds of a job that was split
cancel            there while the batch is to stop
driver.lock       held by the program that hands out jobs
"""

import os
import shutil
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import StoreError
from .file_lock import try_lock


@dataclass(frozen=True, slots=True)
class BatchStore:
    """Paths in a batch's folder."""

    root: Path

    @property
    def about(self) -> Path:
        return self.root / "batch.json"

    @property
    def results(self) -> Path:
        return self.root / "results.jsonl"

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def attempts(self) -> Path:
        return self.root / "attempts"

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def cancel(self) -> Path:
        return self.root / "cancel"

    def log(self, job_id: str) -> Path:
        """The log of a job."""
        return self.root / "logs" / f"{job_id}.log"

    def free_bytes(self) -> int:
        """How much is free on its disk."""
        return shutil.disk_usage(self.root).free

    def make(self) -> None:
        """Create the folders.

        Raises:
            StoreError: they cannot be created.
        """
        try:
            for folder in (self.root, self.output, self.attempts, self.parts, self.root / "logs"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"--store {self.root} cannot be used: {error}. Choose another folder."
            ) from error

    def check_there(self) -> None:
        """Refuse a folder that no batch was started in.

        Raises:
            StoreError: it is none.
        """
        if not self.about.is_file():
            raise StoreError(
                f"--store {self.root}: no batch was started there; `evertalk-batch run` starts one."
            )

    @contextmanager
    def driving(self) -> Generator[None]:
        """Hold the batch alone. The system takes the lock back when the process ends, however it ends.

        Raises:
            StoreError: another program holds it.
        """
        with (self.root / "driver.lock").open("a+", encoding="utf-8") as file:
            if not try_lock(file):
                file.seek(0)
                raise StoreError(
                    f"--store {self.root}: {file.read().strip() or 'another program'} is running this batch. "
                    "Wait for its end, stop it with `evertalk-batch cancel`, or choose another folder."
                )
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    def is_driven(self) -> bool:
        """Whether a program runs this batch."""
        try:
            with (self.root / "driver.lock").open("r+", encoding="utf-8") as file:
                return not try_lock(file)
        except FileNotFoundError:
            return False
        except OSError:
            return True
