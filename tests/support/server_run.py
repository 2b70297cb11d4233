"""Runs the demo's graph, made small, in the real server and notes all that the server tells."""

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import torch
from comfy_client import ComfyClient, Event, JobError, NodeEvent, Outcome, TextEvent
from comfy_server import ComfyServer

DEMO_GRAPH = Path(__file__).resolve().parents[2] / "workflows" / "api" / "demo_tiny.api.json"
RATE_HZ = 16000
SIDE_PX = 32
PICTURE, SPEECH, MODEL, VAE, PROMPT, ENCODER, EMBEDS, SAMPLER, DECODE = "123456789"
"""The demo graph's node ids."""

WEIGHTS = {MODEL, VAE, PROMPT, ENCODER}
"""The nodes that load a file of weights."""

Graph = dict[str, dict[str, Any]]
_FRESH = itertools.count(1)


def demo_inputs(node_id: str) -> dict[str, Any]:
    """What the demo's graph gives one of its nodes."""
    return json.loads(DEMO_GRAPH.read_text())[node_id]["inputs"]


@dataclass
class Run:
    """What the server told of one job."""

    outcome: Outcome | None = None
    error: JobError | None = None
    texts: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)

    def note(self, event: Event) -> None:
        match event:
            case TextEvent(text=text):
                self.texts.append(text)
            case NodeEvent(node_id=node_id):
                self.nodes.append(node_id)
            case _:
                pass

    @property
    def refusal(self) -> str:
        """Why the job failed or was refused."""
        assert self.error is not None, "the job was refused"
        assert "NoneType" not in str(self.error)
        return str(self.error)


@dataclass(frozen=True)
class Stage:
    """The shared server and a folder of the test's own."""

    server: ComfyServer
    folder: Path

    @property
    def client(self) -> ComfyClient:
        return self.server.client

    def graph(self, sound: str, **sampler: Any) -> Graph:
        """The demo's graph at 32x32 pixels; nothing of it is in the server's cache but the files."""
        graph: Graph = json.loads(DEMO_GRAPH.read_text())
        graph[SPEECH]["inputs"]["audio"] = sound
        # A number of its own for each graph: what loads weights would otherwise be cached from an earlier
        # test, and "it did not run" would say nothing.
        graph[MODEL]["inputs"]["lora_strength"] = next(_FRESH) / 1000
        size = {"width": SIDE_PX, "height": SIDE_PX, "filename_prefix": f"EverTalk/{self.folder.name}"}
        graph[SAMPLER]["inputs"] |= size | sampler
        return graph

    def run(self, graph: Graph) -> Run:
        """Queue a graph and wait for its end, whichever that is."""
        run = Run()
        try:
            run.outcome = self.client.run(graph, run.note, timeout_s=300)
        except JobError as error:
            run.error = error
        return run

    def speech(self, num_samples: int, channels: int = 1, samples: torch.Tensor | None = None) -> str:
        """Upload a float WAV of noise in bursts, or of `samples`; its name in the input folder."""
        if samples is None:
            generator = torch.Generator().manual_seed(5)
            bursts = (torch.arange(num_samples) / 2500).sin().clamp_min(0)
            samples = (0.1 * bursts * torch.randn(num_samples, generator=generator)).repeat(channels, 1)
        name = f"{self.folder.name}_{next(_FRESH)}.wav"
        write_wav(self.folder / name, samples)
        return self.client.upload(self.folder / name)

    def video_path(self, run: Run) -> Path:
        """The file that the decode node shows."""
        assert run.outcome is not None, run.error
        (shown,) = run.outcome.outputs[DECODE]["images"]
        folder = {"output": self.server.output, "temp": self.server.base / "temp"}[shown["type"]]
        return folder / shown["subfolder"] / shown["filename"]


def write_wav(path: Path, samples_CT: torch.Tensor) -> None:
    """A 32-bit float WAV, as recorders write it: it can hold NaN."""
    data = samples_CT.T.contiguous().float().numpy().tobytes()
    channels = samples_CT.shape[0]
    frame = 4 * channels
    header = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += (3).to_bytes(2, "little") + channels.to_bytes(2, "little") + RATE_HZ.to_bytes(4, "little")
    header += (RATE_HZ * frame).to_bytes(4, "little") + frame.to_bytes(2, "little")
    header += (32).to_bytes(2, "little") + b"data" + len(data).to_bytes(4, "little")
    path.write_bytes(header + data)


def frames_of(path: Path) -> torch.Tensor:
    """All frames of a video, (frames, height, width, 3), uint8."""
    with av.open(str(path)) as container:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return torch.stack(frames)


def samples_of(path: Path) -> torch.Tensor:
    """The sound of a file, (channels, samples)."""
    with av.open(str(path)) as container:
        parts = [torch.from_numpy(frame.to_ndarray()) for frame in container.decode(audio=0)]
    return torch.cat(parts, dim=1)
