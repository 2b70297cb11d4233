"""How long the rest of a batch takes, by what was measured so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class Eta:
    """Seconds and windows of the jobs that have ended."""

    jobs: int = 0
    seconds: float = 0.0
    windows: int = 0

    def note(self, seconds: float, windows: int) -> None:
        """A job was computed; one that was found finished says nothing about the rest."""
        if windows > 0:
            self.jobs += 1
            self.seconds += seconds
            self.windows += windows

    @property
    def seconds_per_window(self) -> float | None:
        """Measured; None before the first job has ended."""
        return self.seconds / self.windows if self.windows else None

    def left_s(self, jobs_left: float, workers: int, windows_running: int = 0) -> float | None:
        """Seconds until the end.

        Args:
            jobs_left: that have no result.
            workers: that work.
            windows_running: windows that jobs without a result have finished already.
        """
        per_window = self.seconds_per_window
        if per_window is None or workers == 0:
            return None
        windows_left = max(0.0, jobs_left * self.windows / self.jobs - windows_running)
        return windows_left * per_window / workers
