"""What a worker does: loads the MODEL by its recipe, then makes its part of what the server computes.

A failure is said over the channel and ends the process: its part in the next collective would be another.
"""

import os
import threading
import time
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import comfy.model_management
import torch
import torch.distributed as dist
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP

from ....attention.backend import first_line
from ....attention.errors import PlainError
from ....attention.plain_text import plain
from ....multitalk.windows.loop import WindowVoices
from ....wanvideo.ranks import Ranks
from ....wanvideo.step_cache import StepCache, StepCacheSettings
from ..compat.out_of_memory import is_out_of_memory
from ..model.backend import RunAttention, backend_for
from ..model.patcher import KEY, TalkCall, TalkEntry, attachment_of, talks_of
from .channel import Channel, Message, TensorForm
from .group import is_of_collective, join, store_at
from .recipe import Recipe
from .vae import decode_rows, encode_rows, vae_of
from .worker_process import DONE, FAILED, READY

PARENT_POLL_S = 1.0


def work(connection: "Connection[Any, Any]", server: int) -> None:
    """Work until the channel closes; ends the process. The first message that comes names the MODEL.

    Args:
        connection: to the server.
        server: its process's number.
    """
    ready_s = time.monotonic()
    channel = Channel(connection)
    messages: SimpleQueue[Message] = SimpleQueue()
    for watch in (lambda: listen(channel, messages), lambda: follow(server)):
        threading.Thread(target=watch, daemon=True).start()
    code = 0
    try:
        start = messages.get()
        told_s = time.monotonic()
        worker = Worker(start, channel)
        loaded_s = time.monotonic() - told_s
        channel.send({"is": READY, "waited_s": told_s - ready_s, "loaded_s": loaded_s})
        with torch.inference_mode():
            while True:
                worker.do(messages.get())
    except Exception as error:  # noqa: BLE001  whatever it is, the server tells it
        code = 1
        channel.send({"is": FAILED, "says": plain(said_of(error)), "follows": is_of_collective(error)})
    finally:
        # Not by the interpreter's own end, which would wait for torch's threads.
        os._exit(code)


def listen(channel: Channel, messages: "SimpleQueue[Message]") -> None:
    """Pass messages on; a server that is gone takes the worker with it, whatever that is at."""
    while (message := channel.receive()) is not None:
        messages.put(message)
    os._exit(0)


def follow(server: int) -> None:
    """End with the server, should a process that it started hold the channel open."""
    pause = threading.Event()
    while os.getppid() == server:  # it may have ended while all was imported
        pause.wait(PARENT_POLL_S)
    os._exit(0)


def said_of(error: Exception) -> str:
    """A failure as a sentence."""
    if is_out_of_memory(error):
        return (
            "its GPU's memory does not suffice. Choose a smaller size, fewer window_frames or a larger "
            f"reserve_vram_gb, or close other programs that use that GPU ({first_line(error)})"
        )
    if isinstance(error, PlainError):
        return str(error)
    return f"it failed: {first_line(error)}"


def cache_of(said: dict[str, Any] | None) -> StepCache | None:
    """A window's step cache, as the server has one."""
    if said is None:
        return None
    settings: dict[str, Any] = said["settings"]
    settings["coefficients"] = tuple(settings["coefficients"])
    return StepCache(StepCacheSettings(**settings), said["steps"])


class Worker:
    """A rank beside the server's.

    Args:
        start: the message that names the MODEL and this rank.
        channel: to the server.
    """

    def __init__(self, start: dict[str, Any], channel: Channel) -> None:
        self._start = start
        self._channel = channel
        self.model: ModelPatcher = Recipe(**start["recipe"]).made()
        self.device = torch.device(self.model.load_device)
        self.ranks: Ranks | None = None
        self.backend: RunAttention | None = None
        self.step_cache: StepCache | None = None
        self.branches: dict[str, WindowVoices] = {}
        self.vae: Any = None

    def do(self, message: Message) -> None:
        """What a message asks for."""
        match message["do"]:
            case "join":
                self.join()
            case "window":
                self.begin_window(message)
            case "evaluate":
                self.evaluate(message)
            case "vae":
                self.vae = None  # two at once would not fit everywhere
                self.vae = vae_of(self.received(message), message["dtype"])
            case "decode" | "encode":
                self.code(message)
            case "finish":
                self.finish_part()
            case unknown:
                raise AssertionError(unknown)

    def join(self) -> None:
        """Take this rank's place in the group."""
        start = self._start
        wait_s = float(start["timeout_s"])
        store = store_at(start["port"], start["size"], wait_s)
        group = join(start["rank"], start["size"], start["backend"], store, wait_s)
        self.ranks = Ranks(start["rank"], start["size"], group)

    def begin_window(self, message: Message) -> None:
        """Get the weights where they are needed, and forget the window before."""
        self.branches.clear()
        self.step_cache = cache_of(message["step_cache"])
        models = [self.model, *self.model.get_nested_additional_models()]
        comfy.model_management.load_models_gpu(models, memory_required=message["needed"])
        for model in models:
            model.pre_run()
        self.backend = backend_for(self.model, message["attention"], message["tokens"])
        if self.backend.choice.ran != message["attention"]:
            why = "; ".join(self.backend.choice.notes)
            raise RuntimeError(
                f"attention {message['attention']} runs on the server's GPU and not here ({why})"
            )

    def received(self, message: Message) -> dict[str, torch.Tensor]:
        """The tensors that come with a message, on this rank's device."""
        assert self.ranks is not None
        given: dict[str, torch.Tensor] = {}
        for said in message["tensors"]:
            form = TensorForm.read(said)
            given[form.name] = form.empty(self.device)
            dist.broadcast(given[form.name], group=self.ranks.group, group_src=0)
        return given

    def code(self, message: Message) -> None:
        """This rank's rows of a video that is decoded or encoded."""
        assert self.ranks is not None
        given = self.received(message)
        if message["do"] == "decode":
            decode_rows(self.vae, self.ranks, given["latents"], message)
        else:
            encode_rows(self.vae, self.ranks, message)

    def finish_part(self) -> None:
        """Say that all that was asked for came to its end on this GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._channel.send({"is": DONE})

    def evaluate(self, message: Message) -> None:
        """This rank's part of an evaluation; every rank gets the whole result, and here nobody needs it."""
        assert self.backend is not None
        given = self.received(message)
        branch = message["branch"]
        if "audio" in given:
            self.branches[branch] = WindowVoices(given["audio"], given.get("masks"))
        if self.step_cache is not None:
            self.step_cache.step = message["step"]
        call = TalkCall(
            (self.branches[branch],),
            self.backend.attention,
            talks_of(self.model),
            self.step_cache,
            ranks=self.ranks,
        )
        options = {
            KEY: call,
            "cond_or_uncond": [0],
            "uuids": [branch],
            "wrappers": {
                WrappersMP.DIFFUSION_MODEL: {KEY: [TalkEntry(attachment_of(self.model).compile_blocks)]}
            },
        }
        transformer = self.model.model.diffusion_model
        transformer(
            given["x"],
            given["timestep"],
            given["context"],
            given.get("clip_fea"),
            transformer_options=options,
        )
