"""Errors of a batch.

BatchError                the batch cannot start or go on; the message says why and what to do
  JobFileError            lines of the job file are wrong; all of them are listed
  WorkflowError           the workflow cannot be read or is none
  StoreError              the batch's folder is in use, foreign, or not writable
  ClusterError            Ray cannot be reached, or no worker starts

What becomes of one server or one job is told to the driver in a report: see comfy_client and server.
"""

from collections.abc import Sequence


class BatchError(Exception):
    """The batch cannot start or go on."""


class JobFileError(BatchError):
    """Lines of the job file are wrong.

    Attributes:
        problems: one sentence a mistake, with its line number.
    """

    def __init__(self, file: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{file}: {count}; nothing was started.\n{lines}")


class WorkflowError(BatchError):
    """The workflow cannot be read, or is in another format."""


class StoreError(BatchError):
    """The batch's folder cannot be used."""


class ClusterError(BatchError):
    """Ray cannot be reached, or no worker starts."""
