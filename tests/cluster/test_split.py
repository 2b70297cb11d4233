"""Cutting a long sound at its pauses, and joining the videos of its parts."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from batch_setup import RATE_HZ, write_sound
from evertalk_batch.batch_store import BatchStore
from evertalk_batch.jobs import Job
from evertalk_batch.join_videos import JoinError, join_videos
from evertalk_batch.pauses import choose_cuts, pause_middles
from evertalk_batch.results import Result
from evertalk_batch.split_jobs import SplitJobs
from evertalk_batch.split_sound import Parts, SoundError, read_levels, split_sound
from evertalk_batch.task import Ending, Report
from evertalk_batch.worker_pool import BackgroundTask, BackgroundTaskEnded

PAUSES = ((2.0, 2.8), (4.0, 4.4), (6.0, 7.0))
"""The middle one is shorter than 0.6 s."""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    write_sound(tmp_path / "long.wav", 10.0, PAUSES)
    return tmp_path / "long.wav"


def samples_of(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", RATE_HZ)
        pieces = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def write_video(path: Path, frames: int, first: int = 0, side: int = 64) -> None:
    """H.264 with B-frames, each frame of a grey of its own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for number in range(first, first + frames):
            image = np.full((side, side, 3), 20 + 3 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def greys(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [round(float((frame.pts or 0) * (frame.time_base or 0)) * 25) for frame in frames] == list(
        range(len(frames))
    )
    return [round(float(frame.to_ndarray(format="rgb24").mean())) for frame in frames]


def test_what_an_encoder_filled_its_last_block_with_makes_no_frame(sound: Path, tmp_path: Path) -> None:
    with av.open(str(sound)) as wav, av.open(str(tmp_path / "a.m4a"), "w") as m4a:
        stream = m4a.add_stream("aac", rate=RATE_HZ, layout="mono")
        for frame in wav.decode(audio=0):
            m4a.mux(stream.encode(frame))
        m4a.mux(stream.encode(None))
    assert RATE_HZ * 10 % 1024, "the last block is not full"
    assert len(read_levels(tmp_path / "a.m4a")) == len(read_levels(sound)) == 250


def test_pauses_of_at_least_600_ms_are_found_on_frames(sound: Path) -> None:
    levels_db = read_levels(sound)
    assert len(levels_db) == 250
    assert pause_middles(levels_db) == [60, 162]


def test_silence_at_the_ends_is_no_pause() -> None:
    levels_db = np.array([-90.0] * 20 + [-20.0] * 40 + [-90.0] * 20)
    assert pause_middles(levels_db) == []
    assert pause_middles(np.zeros(0)) == []


def test_quiet_speech_is_no_silence() -> None:
    levels_db = np.array([-40.0] * 40 + [-62.0] * 20 + [-40.0] * 40)
    assert pause_middles(levels_db) == [50]
    assert pause_middles(levels_db + 4) == []


def test_parts_end_at_the_last_pause_in_reach_or_at_the_next_one() -> None:
    assert choose_cuts([60, 162], 250, 100) == [60, 162]
    assert choose_cuts([60, 162], 250, 170) == [162]
    assert choose_cuts([60, 162], 250, 30) == [60, 162]
    assert choose_cuts([60, 162], 250, 250) == []
    assert choose_cuts([], 250, 100) == []


def test_parts_make_up_the_sound_again_to_the_sample(sound: Path, tmp_path: Path) -> None:
    parts = split_sound(sound, tmp_path / "parts", 4.0, tmp_path / "joined.mp4")
    assert [path.name for path in parts.files] == ["p000.wav", "p001.wav", "p002.wav"]
    pieces = [samples_of(path) for path in parts.files]
    assert [len(piece) for piece in pieces] == [60 * 640, 102 * 640, 88 * 640]
    assert np.array_equal(np.concatenate(pieces), samples_of(sound))


def test_short_sound_and_joined_video_stay(sound: Path, tmp_path: Path) -> None:
    joined = tmp_path / "joined.mp4"
    assert split_sound(sound, tmp_path / "parts", 60.0, joined) == Parts()
    assert not (tmp_path / "parts").exists()
    joined.touch()
    assert split_sound(sound, tmp_path / "parts", 4.0, joined) == Parts(joined=joined)


def test_sound_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(SoundError, match="cannot be read"):
        split_sound(tmp_path / "a.wav", tmp_path / "parts", 4.0, tmp_path / "joined.mp4")
    write_video(tmp_path / "b.mp4", 3)
    with pytest.raises(SoundError, match="holds no sound"):
        split_sound(tmp_path / "b.mp4", tmp_path / "parts", 4.0, tmp_path / "joined.mp4")


def test_joined_video_has_all_frames_as_they_were_and_the_sound(sound: Path, tmp_path: Path) -> None:
    parts = [tmp_path / "one.mp4", tmp_path / "two.mp4"]
    write_video(parts[0], 30)
    write_video(parts[1], 25, first=30)
    leftover = tmp_path / "leftover"
    leftover.mkdir()
    joined = join_videos(parts, sound, tmp_path / "joined.mp4", [leftover])
    assert greys(joined) == greys(parts[0]) + greys(parts[1])
    assert not leftover.exists()
    heard, told = samples_of(joined), samples_of(sound)
    assert abs(len(heard) - len(told)) <= 2048
    assert np.corrcoef(heard[: len(told)], told[: len(heard)])[0, 1] > 0.95
    with av.open(str(joined)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    with av.open(str(parts[0])) as container:
        assert sizes[:30] == [packet.size for packet in container.demux(video=0) if packet.size], (
            "not encoded again"
        )


def test_parts_of_two_sizes_are_not_joined(sound: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", 3)
    write_video(tmp_path / "two.mp4", 3, side=32)
    with pytest.raises(JoinError, match="part 2 is 32x32 h264, part 1 is 64x64 h264"):
        join_videos([tmp_path / "one.mp4", tmp_path / "two.mp4"], sound, tmp_path / "joined.mp4", [])
    assert not (tmp_path / "joined.mp4").exists()


class Desk:
    """Does background tasks at once, when asked."""

    def __init__(self) -> None:
        self.background_tasks: deque[BackgroundTask] = deque()

    def do(self, job_queue: SplitJobs) -> list[Result]:
        results: list[Result] = []
        while self.background_tasks:
            background_task = self.background_tasks.popleft()
            try:
                event = BackgroundTaskEnded(background_task.key, background_task.call(), None)
            except (SoundError, JoinError) as error:
                event = BackgroundTaskEnded(background_task.key, None, str(error))
            results += [result] if (result := job_queue.background_task_ended(event)) else []
        return results


@pytest.fixture
def store(tmp_path: Path) -> BatchStore:
    store = BatchStore(tmp_path / "store")
    store.make()
    return store


def split_jobs(store: BatchStore, sounds: Iterator[Path]) -> tuple[SplitJobs, Desk]:
    desk = Desk()
    jobs = (Job(f"film-{number}", {"audio": str(path)}, "d") for number, path in enumerate(sounds))
    return SplitJobs(jobs, store, 4.0, desk.background_tasks.append), desk


def test_split_job_is_one_result_of_all_parts(store: BatchStore, sound: Path) -> None:
    job_queue, desk = split_jobs(store, iter([sound]))
    assert job_queue.next() is None, "its sound is being cut"
    assert desk.do(job_queue) == []
    parts = [part for _ in range(3) if (part := job_queue.next())]
    assert [part.key for part in parts] == ["film-0~p000", "film-0~p001", "film-0~p002"]
    assert job_queue.next() is None
    for part in reversed(parts):
        assert not job_queue.is_empty()
        folder = store.output / part.folder
        folder.mkdir(parents=True)
        write_video(folder / "talk.mp4", 10)
        part.windows_begun = 3
        path = f"output/{part.folder}/talk.mp4"
        assert job_queue.ended(part, Report(Ending.DONE, 5.0, path, windows=2), "worker 1") is None
    (result,) = desk.do(job_queue)
    assert (result.status, result.path, result.windows, result.seconds) == (
        "done",
        "output/film-0/film-0.mp4",
        6,
        15.0,
    )
    assert result.windows_begun == 9
    assert len(greys(store.root / str(result.path))) == 30
    assert job_queue.is_empty()
    assert not (store.output / "film-0" / "parts").exists()
    assert not (store.parts / "film-0").exists()


def test_part_that_fails_fails_the_job_and_drops_the_rest(store: BatchStore, sound: Path) -> None:
    job_queue, desk = split_jobs(store, iter([sound]))
    job_queue.next()
    desk.do(job_queue)
    first, second = job_queue.next(), job_queue.next()
    assert first is not None
    assert second is not None
    assert job_queue.ended(first, Report(Ending.FAILED, error="no face"), "worker 1") is None
    assert job_queue.next() is None, "the third is not begun"
    result = job_queue.ended(second, Report(Ending.DONE, path="output/x.mp4"), "worker 2")
    assert result is not None
    assert (result.status, result.error) == ("failed", "no face")
    assert job_queue.is_empty()


def test_jobs_with_bad_or_short_sound_do_not_stop_the_others(store: BatchStore, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    write_sound(tmp_path / "short.wav", 1.0)
    job_queue, desk = split_jobs(store, iter([tmp_path / "bad.wav", tmp_path / "short.wav"]))
    assert job_queue.next() is None
    (failed,) = desk.do(job_queue)
    assert "cannot be read" in str(failed.error)
    whole = job_queue.next()
    assert whole is not None
    assert (whole.key, whole.sound) == ("film-1", None)
    assert job_queue.ended(whole, Report(Ending.DONE), "worker 1") is not None
    assert job_queue.is_empty()
