"""A region of a clip is made to talk in the real server and goes back into the clip, with tiny models."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from comfy_client import JobError, TextEvent
from comfy_server import ComfyServer
from dub_graph import DECODE, REGION, SAMPLER, SIDE_PX, SOURCE, Graph, dub_graph
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media.clip_times import read_clip_times
from evertalk_pack.multitalk.media.picture_reader import read_pictures
from evertalk_pack.multitalk.media.video_reader import frames_of, read_sound
from kill_runs import (
    Moment,
    finished_windows,
    named,
    prepare,
    run_folders,
    run_until_killed,
    sampled_windows,
)
from numpy.typing import NDArray
from PIL import Image
from source_clips import grey, turn_clockwise, write_clip

pytestmark = pytest.mark.host

NTSC = Fraction(30000, 1001)
LENGTH_S, WINDOWS = 1.6, 3
STORED_HEIGHT, STORED_WIDTH = 96, 160
"""Of the clip as it is stored; it is seen turned, 160 high and 96 wide."""
DROPPED = (7, 8, 20, 33)
"""Frames that the clip of a variable rate lacks."""
BOX = "0s: 20%,30%,40%,30%; 1s: 30%,35%,40%,30%"


def scene(time_s: float, height: int = STORED_HEIGHT, width: int = STORED_WIDTH) -> NDArray[np.uint8]:
    """A picture that differs everywhere and at all times."""
    rows, columns = np.mgrid[:height, :width]
    red = 40 + 96 * rows / height
    green = 60 + 128 * columns / width
    blue = np.full_like(red, round(60 + 40 * time_s))
    return np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips at 29.97 frames a second: turned, with sound and frames that are missing; and a plain one."""
    folder = tmp_path_factory.mktemp("region")
    times_s = [float(k / NTSC) for k in range(int(LENGTH_S * NTSC))]
    variable = [(time_s, scene(time_s)) for k, time_s in enumerate(times_s) if k not in DROPPED]
    turn_clockwise(write_clip(folder / "turned.mp4", variable, sound_s=LENGTH_S))
    write_clip(folder / "plain.mp4", [(time_s, scene(time_s)) for time_s in times_s], sound_s=LENGTH_S)
    return folder


@pytest.fixture(scope="module")
def server(comfyui: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server of its own, which may be killed and started again."""
    with ComfyServer(comfyui, tmp_path_factory.mktemp("region_server")) as server:
        prepare(server)
        for file in clips.iterdir():
            server.client.upload(file)
        yield server


def region_graph(clip: str, prefix: str, box: str = BOX, **sampler: Any) -> Graph:
    graph = dub_graph(clip, denoise=0.25)
    graph[SOURCE]["inputs"] |= {"work_on": "region", "region_box": box, "context": 0.3}
    graph[SAMPLER]["inputs"] |= {"filename_prefix": prefix, **sampler}
    return graph


def made(server: ComfyServer, graph: Graph) -> tuple[Path, list[str]]:
    """The one result that there is of a graph's prefix now, and what the nodes said."""
    texts: list[str] = []
    server.client.run(graph, lambda event: texts.append(event.text) if isinstance(event, TextEvent) else None)
    prefix = graph[SAMPLER]["inputs"]["filename_prefix"]
    results = sorted(server.output.glob(f"{prefix}_0*"))
    return results[-1], texts


def test_clip_comes_back_with_its_size_times_length_and_sound(server: ComfyServer, clips: Path) -> None:
    video, texts = made(server, region_graph("turned.mp4", "turned"))
    assert len(list((server.base / "temp").glob("ComfyUI_temp_*.png"))) == 4, "the region, shown on the clip"
    source, result = open_source(clips / "turned.mp4"), open_source(video)
    assert (result.height_px, result.width_px) == (source.height_px, source.width_px) == (160, 96)
    ours, theirs = (read_clip_times(str(path)) for path in (video, clips / "turned.mp4"))
    shown_s, own_s = ([float(stamp * times.base) for stamp in times.stamps] for times in (ours, theirs))
    assert len(shown_s) == len(own_s) == int(LENGTH_S * NTSC) - len(DROPPED)
    assert shown_s == pytest.approx(own_s, abs=1e-4)
    sound, own = read_sound(video), read_sound(clips / "turned.mp4")
    assert sound is not None
    assert own is not None
    assert sound.duration_s == pytest.approx(own.duration_s, abs=0.1)
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0))
        assert frame.side_data.get("DISPLAYMATRIX") is None
    assert any("largest difference outside the region: 0 " in text for text in texts), texts
    assert any(text.startswith("region: pasted into 43 frames") for text in texts), texts


def test_every_pixel_outside_the_region_is_the_clips_before_encoding(
    server: ComfyServer, clips: Path
) -> None:
    folder, _ = made(server, region_graph("turned.mp4", "pictures", format="png sequence"))
    made_FHWC = torch.stack(list(read_pictures(sorted(folder.glob("*.png")))))
    reader = open_source(clips / "turned.mp4").reader()
    own_FHWC = torch.stack([reader.frame_at(k / float(NTSC)) for k in range(47) if k not in DROPPED])
    assert made_FHWC.shape == own_FHWC.shape == (43, 160, 96, 3)
    apart_FHW = (made_FHWC - own_FHWC).abs().amax(dim=-1)
    # the box wanders within 20..70 % across and 30..65 % down; the soft edge is 4 pixels wide
    changed_HW = apart_FHW.amax(dim=0) > 0
    outside_HW = torch.ones(160, 96, dtype=torch.bool)
    outside_HW[48 - 5 : 104 + 5, 19 - 5 : 68 + 5] = False
    assert not changed_HW[outside_HW].any()
    assert float(apart_FHW[:, 60:90, 35:55].mean()) > 0.01


def test_full_hd_clip_that_is_turned_and_of_a_variable_rate_comes_back_whole(
    server: ComfyServer, tmp_path: Path
) -> None:
    count, missing = 9, (3, 6)
    times_s = [float(k / NTSC) for k in range(count) if k not in missing]
    clip = tmp_path / "full_hd.mp4"
    turn_clockwise(write_clip(clip, [(time_s, scene(time_s, 1080, 1920)) for time_s in times_s], sound_s=0.3))
    server.client.upload(clip)
    graph = region_graph(clip.name, "full_hd", "0s: 20%,30%,40%,30%; 0.25s: 30%,35%,40%,30%")
    graph[SAMPLER]["inputs"]["format"] = "mkv lossless (ffv1)"
    video, texts = made(server, graph)
    result, source = open_source(video), open_source(clip)
    assert (result.height_px, result.width_px) == (source.height_px, source.width_px) == (1920, 1080)
    shown, own = read_clip_times(str(video)), read_clip_times(str(clip))
    assert [shown.time_s(k) for k in range(len(shown.stamps))] == pytest.approx(times_s, abs=1e-3)
    assert len(own.stamps) == len(times_s)
    sound, own_sound = read_sound(video), read_sound(clip)
    assert sound is not None
    assert own_sound is not None
    heard = min(sound.samples_CT.shape[1], own_sound.samples_CT.shape[1])
    assert heard >= 0.3 * sound.sample_rate_hz
    assert float((sound.samples_CT - own_sound.samples_CT[:, :heard])[:, :heard].abs().max()) < 1e-3
    # the box wanders within 20..70 % across and 30..65 % down; 922 pixels of the clip are made at 64, and the
    # soft edge is up to three of these wide
    edge, outside_HW = 3 * 922 // SIDE_PX, torch.ones(1920, 1080, dtype=torch.bool)
    outside_HW[576 - edge : 1248 + edge, 216 - edge : 756 + edge] = False
    reader = source.reader()
    for time_s, made_HWC in zip(times_s, frames_of(video), strict=True):
        apart_HW = (made_HWC - reader.frame_at(time_s)).abs().amax(dim=-1)
        assert float(apart_HW[outside_HW].max()) < 0.51 / 1023, "a file of 10 bits rounds to half a step"
        assert float(apart_HW[800:1000, 400:600].mean()) > 2 / 1023
    assert any("largest difference outside the region: 0 " in text for text in texts), texts


def test_mask_that_moves_is_followed(server: ComfyServer, tmp_path: Path) -> None:
    masks: list[tuple[float, NDArray[np.uint8]]] = []
    for number in range(47):
        mask = grey(0, 96, 160)
        mask[24:72, 20 + number : 60 + number] = 255
        masks.append((float(number / NTSC), mask))
    server.client.upload(write_clip(tmp_path / "masks.mp4", masks))
    graph = region_graph("plain.mp4", "followed", "", format="png sequence")
    graph |= {
        "30": {"class_type": "LoadVideo", "inputs": {"file": "masks.mp4"}},
        "31": {"class_type": "GetVideoComponents", "inputs": {"video": ["30", 0]}},
        REGION: {"class_type": "ImageToMask", "inputs": {"image": ["31", 0], "channel": "red"}},
    }
    graph[SOURCE]["inputs"]["region"] = [REGION, 0]
    folder, texts = made(server, graph)
    reader = open_source(server.base / "input" / "plain.mp4").reader()
    for number, made_HWC in enumerate(read_pictures(sorted(folder.glob("*.png")))):
        apart_HWC = (made_HWC - reader.frame_at(float(number / NTSC))).abs()
        columns = (apart_HWC.amax(dim=(0, 2)) > 0).nonzero()[:, 0]
        assert (int(columns.min()), int(columns.max())) == pytest.approx((17 + number, 62 + number), abs=4)
    assert any("largest difference outside the region: 0 " in text for text in texts), texts


def test_mask_says_where_the_face_is_as_a_box_does(server: ComfyServer, clips: Path) -> None:
    mask = np.zeros((96, 160), np.uint8)
    mask[24:72, 40:100] = 255
    Image.fromarray(mask).convert("RGB").save(clips / "face.png")
    server.client.upload(clips / "face.png")
    graph = region_graph("plain.mp4", "masked", "", format="png sequence")
    graph[REGION] = {"class_type": "LoadImageMask", "inputs": {"image": "face.png", "channel": "red"}}
    graph[SOURCE]["inputs"]["region"] = [REGION, 0]
    folder, texts = made(server, graph)
    frames_FHWC = torch.stack(list(read_pictures(sorted(folder.glob("*.png")))))
    reader = open_source(clips / "plain.mp4").reader()
    own_FHWC = torch.stack([reader.frame_at(k / float(NTSC)) for k in range(len(frames_FHWC))])
    changed_HW = (frames_FHWC - own_FHWC).abs().amax(dim=(0, 3)) > 0
    rows, columns = changed_HW.nonzero(as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == pytest.approx((22, 73), abs=3)
    assert (int(columns.min()), int(columns.max())) == pytest.approx((38, 101), abs=3)
    assert any(text.startswith("region: pasted into 47 frames") for text in texts), texts


def test_two_people_talk_one_after_the_other(server: ComfyServer, clips: Path) -> None:
    graph = region_graph("plain.mp4", "first", "10%,25%,20%,40%", format="mkv lossless (ffv1)")
    second = region_graph("plain.mp4", "second", "70%,25%,20%,40%", format="png sequence")
    graph |= {f"1{name}": node for name, node in second.items() if name in (SAMPLER, SOURCE)}
    graph[f"1{SOURCE}"]["inputs"]["video"] = [DECODE, 1]
    graph[f"1{SAMPLER}"]["inputs"]["source"] = [f"1{SOURCE}", 0]
    graph[f"1{SAMPLER}"]["inputs"]["audio_embeds"] = graph[SAMPLER]["inputs"]["audio_embeds"]
    server.client.run(graph)
    (folder,) = (path for path in server.output.glob("second_0*") if path.is_dir())
    frames_FHWC = torch.stack(list(read_pictures(sorted(folder.glob("*.png")))))
    reader = open_source(clips / "plain.mp4").reader()
    own_FHWC = torch.stack([reader.frame_at(k / float(NTSC)) for k in range(len(frames_FHWC))])
    assert len(frames_FHWC) == 47
    apart_W = (frames_FHWC - own_FHWC).abs().amax(dim=(0, 1, 3))
    assert float(apart_W[54:106].max()) == 0, "between them"
    assert float(apart_W[20:44].min()) > 0.02
    assert float(apart_W[116:140].min()) > 0.02


def test_killed_run_goes_on_and_gives_the_same_bytes(server: ComfyServer) -> None:
    graph = region_graph("plain.mp4", "killed")
    whole, _ = made(server, graph)
    expected = whole.read_bytes()
    (folder,) = run_folders(server, "killed")
    folder.rename(server.base / "temp" / "whole.run")
    whole.unlink()
    server.stop()  # else it would answer from its cache
    server.start()
    assert run_until_killed(server, graph, "killed", Moment("window", named(1), 0.05))
    (folder,) = run_folders(server, "killed")
    finished = finished_windows(folder)
    assert 1 <= finished < WINDOWS
    server.start()
    again, _ = made(server, graph)
    assert sampled_windows(server.log) == list(range(finished, WINDOWS))
    assert again.read_bytes() == expected


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("", r"work_on: 'region', but neither a mask nor a box"),
        ("80%,0%,25%,50%", r"region_box: the box at 0 s leaves the picture.*96x160 pixels"),
        ("4s: 0,0,40,40; 2s: 0,0,40,40", r"region_box: keyframes out of order: 2 s comes after 4 s"),
    ],
)
def test_box_that_cannot_be_is_refused(server: ComfyServer, box: str, message: str) -> None:
    with pytest.raises(JobError, match=message):
        server.client.run(region_graph("turned.mp4", "refused", box))


def test_box_without_effect_is_refused(server: ComfyServer) -> None:
    graph = region_graph("turned.mp4", "refused")
    graph[SOURCE]["inputs"]["work_on"] = "whole picture"
    with pytest.raises(JobError, match=r"region_box: a box is given, but work_on is 'whole picture'"):
        server.client.run(graph)
