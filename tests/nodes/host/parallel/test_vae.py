"""The VAE on a team of two: what it gives, whom it is for, and a worker that is lost on the way."""

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psutil
import pytest
import torch
import torch.distributed as dist
from comfy.model_patcher import ModelPatcher
from evertalk_pack.multitalk.common.errors import WorkerError
from evertalk_pack.nodes.host.codecs.vae import Codec
from evertalk_pack.nodes.host.parallel import choice, team, vae, worker_process
from evertalk_pack.nodes.host.parallel.choice import TEAMS, shared_vae, with_gpus
from evertalk_pack.nodes.host.parallel.machine import Machine
from evertalk_pack.nodes.host.parallel.vae import SharedVae, why_alone
from parallel_runs import PROCESSES, SCRIPT, TIMEOUT, gone
from tiny_host import TinyFiles, load_model, load_vae

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

HEIGHT_PX, WIDTH_PX, FRAMES = 56, 32, 9
WITHIN = 1e-5
GLOO = Machine("gloo", 2)


@pytest.fixture(scope="module")
def together(tiny: TinyFiles) -> Iterator[ModelPatcher]:
    """A MODEL of two processes, which stay while no test loses one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROCESSES, "2")
        yield with_gpus(load_model(tiny), "2")[0]
        TEAMS.end()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is shown on the node."""
    sentences: list[str] = []
    monkeypatch.setattr(choice, "show_on_node", sentences.append)
    return sentences


@pytest.fixture(scope="module")
def frames_FHWC() -> torch.Tensor:  # noqa: N802  # the shape's letters
    return torch.rand(FRAMES, HEIGHT_PX, WIDTH_PX, 3, generator=torch.Generator().manual_seed(0))


def workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [one for one in children if any(SCRIPT in part for part in one.cmdline())]


def codec_on(model: ModelPatcher, vae: Any) -> Codec:
    ranks = shared_vae(model, vae)
    assert ranks is not None
    return Codec(vae, ranks=ranks)


@torch.inference_mode()
def test_two_processes_code_as_one_and_get_the_weights_once(
    together: ModelPatcher, tiny: TinyFiles, frames_FHWC: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae, asked = load_vae(tiny), list[str]()
    give = team.Team.give

    def noted(self: team.Team, message: dict[str, Any], tensors: Any) -> None:
        asked.append(message["do"])
        give(self, message, tensors)

    monkeypatch.setattr(team.Team, "give", noted)
    alone, shared = Codec(vae), codec_on(together, vae)
    latents = alone.encode(frames_FHWC)
    torch.testing.assert_close(shared.encode(frames_FHWC), latents, atol=WITHIN, rtol=0)
    first = shared.decode(latents)
    torch.testing.assert_close(first, alone.decode(latents), atol=WITHIN, rtol=0)
    assert torch.equal(shared.decode(latents), first)
    assert asked == ["vae", "encode", "decode", "decode"]
    members = workers()
    other: Any = load_vae(tiny)
    other.first_stage_model.decoder.head[2].bias += 0.5
    changed = codec_on(together, other).decode(latents)
    torch.testing.assert_close(changed, Codec(other).decode(latents), atol=WITHIN, rtol=0)
    assert asked[4:] == ["vae", "decode"]
    assert (changed - first).abs().max() > 0.1
    assert workers() == members


@torch.inference_mode()
def test_a_picture_kept_from_one_process_is_not_taken_for_what_two_give(
    together: ModelPatcher, tiny: TinyFiles, frames_FHWC: torch.Tensor
) -> None:
    vae, encoded = load_vae(tiny), list[str]()
    by_one, by_two = Codec(vae), codec_on(together, vae)
    for name, codec in [("one", by_one), ("two", by_two), ("one", by_one), ("two", by_two)]:

        def make(name: str = name, codec: Codec = codec) -> torch.Tensor:
            encoded.append(name)
            return codec.encode(frames_FHWC)

        codec.recall_picture(frames_FHWC, make)
    assert encoded == ["one", "two"]


@torch.inference_mode()
def test_a_video_of_fewer_rows_than_ranks_is_coded_by_one(
    together: ModelPatcher, tiny: TinyFiles, frames_FHWC: torch.Tensor
) -> None:
    vae, flat = load_vae(tiny), frames_FHWC[:, :8]
    alone, shared = Codec(vae), codec_on(together, vae)
    latents = shared.encode(flat)
    assert torch.equal(latents, alone.encode(flat))
    assert torch.equal(shared.decode(latents), alone.decode(latents))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (signal.SIGKILL, r"gpus: the worker on process 1 was ended by signal 9\. Queue again"),
        (signal.SIGSTOP, r"gpus: a worker did not answer within 1 s .*Queue again"),
    ],
    ids=["killed", "hangs"],
)
@torch.inference_mode()
def test_a_worker_that_is_lost_in_a_decode_ends_the_team_in_the_usual_words(
    together: ModelPatcher,
    tiny: TinyFiles,
    frames_FHWC: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
    words: str,
) -> None:
    codec = codec_on(together, load_vae(tiny))
    latents = codec.encode(frames_FHWC)
    (lost,) = workers()
    decode = vae.stream_decode

    def after_the_loss(*arguments: Any, **options: Any) -> torch.Tensor:
        os.kill(lost.pid, how)
        return decode(*arguments, **options)

    monkeypatch.setattr(vae, "stream_decode", after_the_loss)
    if how is signal.SIGSTOP:
        # The worker never answers, however long it is waited for.
        monkeypatch.setenv(TIMEOUT, "1")
        monkeypatch.setattr(team, "NOTICE_S", 0.1)
        monkeypatch.setattr(worker_process, "GRACE_S", 0.1)
        dist.distributed_c10d._set_pg_timeout(timedelta(seconds=1))  # pyright: ignore
    with pytest.raises(WorkerError, match=words):
        codec.decode(latents)
    assert gone([lost])
    assert workers() == []


def test_one_gpu_alone_codes_with_what_cannot_be_shared_and_it_is_said(
    together: ModelPatcher, tiny: TinyFiles, said: list[str]
) -> None:
    changed: Any = load_vae(tiny)
    assert why_alone(changed, GLOO) == ""
    assert isinstance(shared_vae(together, changed), SharedVae)
    assert why_alone(changed, Machine("nccl", 2)) == "ComfyUI runs it on cpu"
    changed.patcher.object_patches["conv1.bias"] = torch.zeros(32)
    assert shared_vae(together, changed) is None
    other: Any = load_vae(tiny)
    del other.first_stage_model.decoder.head[2]
    assert shared_vae(together, other) is None
    assert said == [
        "gpus: one GPU alone encodes and decodes, since a node changes its weights",
        "gpus: one GPU alone encodes and decodes, since EverTalk knows the layers of Wan 2.1's own VAE alone",
    ]


def test_a_model_of_one_gpu_says_nothing_of_others(tiny: TinyFiles, said: list[str]) -> None:
    assert shared_vae(load_model(tiny), load_vae(tiny)) is None
    assert said == []
