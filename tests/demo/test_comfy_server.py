"""The client against the real server."""

from pathlib import Path

import pytest
from comfy_client import Event, JobError, JobInterruptedError, JsonObject, NodeEvent, ServerError
from comfy_server import ComfyServer, ServerStartError
from PIL import Image
from settle import settle

pytestmark = pytest.mark.host


def node(class_type: str, **inputs: object) -> JsonObject:
    return {"class_type": class_type, "inputs": inputs}


def picture_workflow(name: str, prefix: str) -> JsonObject:
    return {
        "1": node("LoadImage", image=name),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
    }


def test_uploaded_picture_comes_out_of_a_workflow(comfy_server: ComfyServer, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(picture)
    name = comfy_server.client.upload(picture)
    events: list[Event] = []
    outcome = comfy_server.client.run(picture_workflow(name, "red"), events.append)
    assert [event.node_id for event in events if isinstance(event, NodeEvent)] == ["1", "2"]
    saved = outcome.outputs["2"]["images"][0]
    with Image.open(comfy_server.output / saved["filename"]) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    assert (
        comfy_server.client.view(saved["filename"]) == (comfy_server.output / saved["filename"]).read_bytes()
    )


def test_second_run_of_a_workflow_ends_although_everything_is_cached(comfy_server: ComfyServer) -> None:
    black = node("EmptyImage", width=8, height=8, batch_size=1, color=0)
    workflow = {"1": black, "2": node("PreviewImage", images=["1", 0])}
    assert comfy_server.client.run(workflow).cached_nodes == ()
    assert set(comfy_server.client.run(workflow).cached_nodes) == {"1", "2"}


def test_what_the_server_has_forgotten_is_made_again_at_once(comfy_server: ComfyServer) -> None:
    grey = node("EmptyImage", width=8, height=8, batch_size=1, color=0x808080)
    workflow = {"1": grey, "2": node("PreviewImage", images=["1", 0])}
    comfy_server.client.run(workflow)
    comfy_server.client.forget()
    assert comfy_server.client.run(workflow).cached_nodes == ()


def test_refused_workflow_names_the_node(comfy_server: ComfyServer) -> None:
    with pytest.raises(JobError, match=r"node 1 \(LoadImage\): .*nowhere\.png"):
        comfy_server.client.run(picture_workflow("nowhere.png", "never"))


def test_failing_node_is_named(comfy_server: ComfyServer) -> None:
    black = node("EmptyImage", width=8, height=8, batch_size=1, color=0)
    outside = node("SaveImage", images=["1", 0], filename_prefix="../../../outside")
    with pytest.raises(JobError, match=r"Node 2 \(SaveImage\) failed: .*not allowed") as caught:
        comfy_server.client.run({"1": black, "2": outside})
    assert "get_save_image_path" in caught.value.trace


def slow_workflow(color: int) -> JsonObject:
    """Eight nodes that blur, one after the other."""
    workflow = {"0": node("EmptyImage", width=512, height=512, batch_size=2, color=color)}
    for number in range(1, 9):
        source = [str(number - 1), 0]
        workflow[str(number)] = node("ImageBlur", image=source, blur_radius=20, sigma=5.0)
    workflow["9"] = node("PreviewImage", images=["8", 0])
    return workflow


def test_server_is_brought_to_rest_with_jobs_that_run_and_wait(comfy_server: ComfyServer) -> None:
    ids = [comfy_server.client.queue(slow_workflow(color)) for color in (1, 2, 3)]
    settle(comfy_server.client)
    assert not comfy_server.client.is_busy()
    ended = [comfy_server.client.history(prompt_id) for prompt_id in ids]
    assert len([record for record in ended if record]) < len(ids), "what waited was taken out of the queue"
    black = {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=9)}
    assert comfy_server.client.run({**black, "2": node("PreviewImage", images=["1", 0])}).outputs


def test_running_job_can_be_interrupted(comfy_server: ComfyServer) -> None:
    workflow = slow_workflow(7)

    def interrupt_the_second(event: Event) -> None:
        if event == NodeEvent("2"):
            comfy_server.client.interrupt()

    with pytest.raises(JobInterruptedError, match="interrupted in node"):
        comfy_server.client.run(workflow, interrupt_the_second)


def test_unknown_path_is_refused_with_its_status(comfy_server: ComfyServer) -> None:
    with pytest.raises(ServerError, match=r"/view.* status 404"):
        comfy_server.client.view("nothing.png")


def test_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match=r"did not start[\s\S]*main\.py"):
        ComfyServer(tmp_path / "no ComfyUI here", tmp_path).start()


def test_lost_server_ends_the_wait(tmp_path: Path, comfyui: Path) -> None:
    workflow = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=0),
        "2": node("PreviewImage", images=["1", 0]),
    }
    with ComfyServer(comfyui, tmp_path) as server:

        def kill(event: Event) -> None:
            del event
            server.kill()

        with pytest.raises(ServerError, match=r"closed the connection|connection .* was lost|No answer"):
            server.client.run(workflow, kill)
