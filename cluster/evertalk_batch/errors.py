"""Errors of a batch.

BatchError                the batch cannot start or go on; the message says why and what to do
  JobFileError            lines of the job file are wrong; all of them are listed
  WorkflowError           the workflow cannot be read or is none
  StoreError              the batch's folder is in use, foreign, or not writable
  ClusterError            Ray cannot be reached, or no worker starts
ServerError               one ComfyUI server, told to the driver by the worker that holds it
  ServerStartError        it does not start
  ServerLostError         it ended, or says nothing any more
JobError                  the server refused or failed a job; another server would too
JobStoppedError           a job was interrupted
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


class ServerError(Exception):
    """A ComfyUI server refused a request or gave no answer."""


class ServerStartError(ServerError):
    """A server did not start; the message holds the end of its log."""


class ServerLostError(ServerError):
    """A server ended during a job, or said nothing for too long."""


class JobError(Exception):
    """A job was refused or failed; the message names the node and says why.

    Attributes:
        trace: where in the server's code a node failed; empty if the job was refused.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class JobStoppedError(Exception):
    """A job was interrupted; its finished windows are kept."""
