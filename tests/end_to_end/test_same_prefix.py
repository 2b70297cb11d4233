"""Jobs that wait in the queue together and write to the same prefix."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from comfy_client import ComfyClient
from server_run import Graph, Run, Stage, frames_of

pytestmark = pytest.mark.host

VIDEO_FRAMES = 17


def test_two_queued_runs_with_the_same_prefix_make_two_videos(stage: Stage) -> None:
    speech = stage.speech(VIDEO_FRAMES * 640)
    graphs = [
        stage.graph(speech, seed=seed, filename_prefix="shared/talk", window_frames=9, motion_frames=5)
        for seed in (1, 2)
    ]
    # A client each: both jobs are in the queue before the first one has ended.
    with ThreadPoolExecutor(len(graphs)) as queue:
        runs = [run.result() for run in [queue.submit(run_alone, stage, graph) for graph in graphs]]
    first, second = (stage.video_path(run) for run in runs)
    assert first != second
    assert first.parent == second.parent
    assert len(frames_of(first)) == len(frames_of(second)) == VIDEO_FRAMES
    assert first.read_bytes() != second.read_bytes()
    again = stage.run(graphs[0])
    assert stage.video_path(again) == first, "the first run is found again, not the second"


def run_alone(stage: Stage, graph: Graph) -> Run:
    run = Run()
    run.outcome = ComfyClient(stage.client.address).run(graph, run.note, timeout_s=300)
    return run
