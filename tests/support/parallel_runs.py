"""Runs of the tiny models on several processes of a real server, and the processes that these leave."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch
from comfy_server import ComfyServer
from safetensors.torch import load_file
from server_run import EMBEDS, MODEL, SAMPLER, SPEECH, VAE, Graph, Run, Stage

PARALLEL, LORA, SPEAKERS, SECOND_VOICE, SAVE = "20", "21", "22", "23", "24"
"""Ids of the nodes that these graphs have beside the demo's."""

GONE_S = 15.0
SCRIPT = "worker_main.py"
PROCESSES, TIMEOUT = "EVERTALK_PARALLEL_PROCESSES", "EVERTALK_PARALLEL_TIMEOUT_S"


@contextmanager
def processes(count: int, timeout_s: int = 120) -> Generator[None]:
    """While it lasts, servers that are started on a CPU have so many processes for GPUs."""
    before = {name: os.environ.get(name) for name in (PROCESSES, TIMEOUT)}
    os.environ |= {PROCESSES: str(count), TIMEOUT: str(timeout_s)}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def workers_of(server: ComfyServer) -> list[psutil.Process]:
    """The workers that a server has now."""
    return [one for one in psutil.Process(server.pid).children(recursive=True) if is_worker(one)]


def is_worker(process: psutil.Process) -> bool:
    """Whether a process is one; one that is gone is none."""
    with suppress(psutil.NoSuchProcess):
        return any(SCRIPT in part for part in process.cmdline())
    return False


def gone(workers: list[psutil.Process]) -> bool:
    """Whether processes end within a moment."""
    return not psutil.wait_procs(workers, GONE_S)[1]


def small(stage: Stage, sound: str, **sampler: object) -> Graph:
    """The demo's graph, as small as can be, the same each time: what is cached stays so."""
    graph = stage.graph(sound, **{"window_frames": 9, "motion_frames": 5, **sampler})
    graph[MODEL]["inputs"]["lora_strength"] = 1.0
    return graph


def on(graph: Graph, gpus: str) -> Graph:
    """The same graph with EverTalk Parallel before the sampler."""
    model = graph[SAMPLER]["inputs"]["model"]
    node = {"class_type": "EverTalkParallel", "inputs": {"model": model, "gpus": gpus}}
    sampler = {**graph[SAMPLER], "inputs": {**graph[SAMPLER]["inputs"], "model": [PARALLEL, 0]}}
    return {**graph, PARALLEL: node, SAMPLER: sampler}


def with_lora(graph: Graph, name: str) -> Graph:
    """The same graph with ComfyUI's own LoRA loader after the model's."""
    inputs = {"model": [MODEL, 0], "lora_name": name, "strength_model": 0.7}
    sampler = {**graph[SAMPLER], "inputs": {**graph[SAMPLER]["inputs"], "model": [LORA, 0]}}
    return {**graph, LORA: {"class_type": "LoraLoaderModelOnly", "inputs": inputs}, SAMPLER: sampler}


def with_second_voice(graph: Graph, sound: str) -> Graph:
    """The same graph with two people who speak at once."""
    voices = {"audio_a": [SPEECH, 0], "audio_b": [SECOND_VOICE, 0]}
    speakers = {**voices, "arrangement": "para", "timeline": "", "boxes": ""}
    embeds = {name: value for name, value in graph[EMBEDS]["inputs"].items() if name != "audio"}
    return {
        **graph,
        SECOND_VOICE: {"class_type": "LoadAudio", "inputs": {"audio": sound}},
        SPEAKERS: {"class_type": "EverTalkSpeakers", "inputs": speakers},
        EMBEDS: {**graph[EMBEDS], "inputs": {**embeds, "speakers": [SPEAKERS, 0]}},
    }


def latents_of(stage: Stage, graph: Graph) -> torch.Tensor:
    """The raw latents of a graph of one window, which ComfyUI's own node writes."""
    prefix = f"latents/{stage.folder.name}"
    sampler = {**graph[SAMPLER], "inputs": {**graph[SAMPLER]["inputs"], "output": "latent"}}
    save = {"class_type": "SaveLatent", "inputs": {"samples": [SAMPLER, 0], "filename_prefix": prefix}}
    kept = {name: node for name, node in graph.items() if name not in {"9", VAE}}
    run = finished(stage.run({**kept, VAE: graph[VAE], SAMPLER: sampler, SAVE: save}))
    assert run.outcome is not None
    files = sorted((stage.server.output / "latents").glob(f"{stage.folder.name}_*.latent"))
    return load_file(files[-1])["latent_tensor"]


def finished(run: Run) -> Run:
    """A run that came to its end."""
    assert run.error is None, run.error
    return run


def videos_of(server: ComfyServer, prefix: str) -> list[Path]:
    """The finished videos of a prefix."""
    return sorted(server.output.glob(f"{prefix}_0*.mp4"))
