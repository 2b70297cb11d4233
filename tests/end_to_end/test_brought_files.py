"""What people bring, in the real server: what has no effect, or was mended, stands in the history."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
from safetensors.torch import save_file
from server_run import MODEL, SAMPLER, SPEECH, Run, Stage

SHORT = 6400
DIM = 256


def warnings_of(run: Run) -> list[str]:
    assert run.outcome is not None, run.error
    (summary,) = run.outcome.outputs[SAMPLER]["evertalk"]
    warnings: list[Any] = summary["warnings"]
    return warnings


def test_what_a_lora_does_not_change_stands_in_the_history(stage: Stage) -> None:
    name = f"{stage.folder.name}.safetensors"
    tensors = {
        "blocks.0.self_attn.q.lora_A.weight": torch.ones(4, DIM),
        "blocks.0.self_attn.q.lora_B.weight": torch.ones(DIM, 4),
        "blocks.0.self_attn.k.lora_A.weight": torch.ones(4, 96),
        "blocks.0.self_attn.k.lora_B.weight": torch.ones(96, 4),
        "text_model.alpha": torch.tensor(1.0),
    }
    folder = stage.server.models / "loras"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / name)
    graph = stage.graph(stage.speech(SHORT), window_frames=9, motion_frames=5)
    graph[MODEL]["inputs"]["lora"] = name
    for _ in range(2):  # made, and from the finished run
        warnings = warnings_of(stage.run(graph))
        assert any("1 of its 2 changes are of another size" in warning for warning in warnings), warnings
        assert any("1 of its 5 tensors belong to no weight" in warning for warning in warnings), warnings
        graph[SAMPLER]["inputs"]["pause_after"] = 1000


def test_peaks_that_will_be_cut_off_stand_in_the_history(stage: Stage) -> None:
    loud = 20 * torch.sin(torch.arange(SHORT) / 20)[None]
    graph = stage.graph(stage.speech(SHORT, samples=loud), window_frames=9, motion_frames=5)
    warnings = warnings_of(stage.run(graph))
    assert any("the loudest sample is 20.00 times full scale (+26.0 dB)" in warning for warning in warnings)


def damaged_speech(path: Path) -> Path:
    """Two seconds of noise as AAC, three packets of which are wiped out."""
    noise = 0.1 * torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(noise.numpy(), format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        for each in (stream.encode(frame), stream.encode(None)):
            container.mux(each)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    for packet in packets[15:18]:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    return path


def test_damage_that_load_speech_passed_over_stands_in_the_history(stage: Stage) -> None:
    name = stage.client.upload(damaged_speech(stage.folder / f"{stage.folder.name}.m4a"))
    graph = stage.graph(name, window_frames=9, motion_frames=5)
    graph[SPEECH]["class_type"] = "EverTalkLoadSpeech"
    run = stage.run(graph)
    warnings = warnings_of(run)
    assert any("is damaged or missing at 0.9" in warning for warning in warnings), warnings
    assert any("is damaged or missing at 0.9" in text for text in run.texts)
    assert run.outcome is not None
    assert run.outcome.outputs[SAMPLER]["evertalk"][0]["frames"] == 50
