"""Sound of many channels as stereo."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.media.mix_down import MixDown

ROOT = Path(__file__).parents[3]

HALF = 0.5**0.5
"""3 dB down."""

GAINS = {
    "mono": [[HALF], [HALF]],
    "stereo": [[1, 0], [0, 1]],
    "2.1": [[1, 0, 0], [0, 1, 0]],
    "3.0": [[1, 0, HALF], [0, 1, HALF]],
    "quad": [[1, 0, HALF, 0], [0, 1, 0, HALF]],
    "5.0": [[1, 0, HALF, HALF, 0], [0, 1, HALF, 0, HALF]],
    "5.1": [[1, 0, HALF, 0, HALF, 0], [0, 1, HALF, 0, 0, HALF]],
    "5.1(side)": [[1, 0, HALF, 0, HALF, 0], [0, 1, HALF, 0, 0, HALF]],
    "7.1": [[1, 0, HALF, 0, HALF, 0, HALF, 0], [0, 1, HALF, 0, 0, HALF, 0, HALF]],
}
"""ITU-R BS.775: what left and right take of each channel, before all is turned down to a sum of 1."""


def frame_of(samples_CT: np.ndarray[Any, Any], layout: str, rate_hz: int = 48_000) -> av.AudioFrame:
    packed = np.ascontiguousarray(samples_CT.T.reshape(1, -1).astype(np.float32))
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    return frame


def mixed(mixer: Any, *frames: av.AudioFrame | None) -> np.ndarray[Any, Any]:
    return np.concatenate([made.to_ndarray() for each in frames for made in mixer.resample(each)], axis=1)


@pytest.mark.parametrize("layout", GAINS)
def test_gains_are_the_standards_and_add_up_to_full_scale_at_most(layout: str) -> None:
    gains = np.array(GAINS[layout])
    expected = gains / max(1.0, gains.sum(axis=1).max())
    made = mixed(MixDown("stereo", 48_000), frame_of(np.eye(gains.shape[1]), layout))
    assert made == pytest.approx(expected, abs=1e-6)
    loudest = mixed(MixDown("stereo", 48_000), frame_of(np.ones((gains.shape[1], 8)), layout))
    assert np.abs(loudest).max() <= 1 + 1e-6


def test_channels_that_are_kept_are_kept_to_the_bit() -> None:
    samples_CT = np.random.default_rng(0).uniform(-1, 1, (6, 500)).astype(np.float32)
    assert np.array_equal(mixed(MixDown("5.1", 48_000), frame_of(samples_CT, "5.1")), samples_CT)


def test_a_track_that_changes_on_its_way_goes_on_as_it_began() -> None:
    """Broadcasts turn from stereo to 5.1 and back; av.AudioResampler ends with an error there."""
    stereo, many = np.full((2, 480), 0.5), np.full((6, 480), 0.5)
    frames = (frame_of(stereo, "stereo"), frame_of(many, "5.1"), frame_of(stereo, "stereo"), None)
    assert mixed(MixDown("stereo", 48_000), *frames) == pytest.approx(np.full((2, 1440), 0.5), abs=1e-6)


def test_another_rate_comes_out_whole() -> None:
    made = mixed(MixDown("mono", 16_000), frame_of(np.full((1, 48_000), 0.5), "mono"), None)
    assert made.shape == (1, 16_000)
    assert made[0, 100:-100] == pytest.approx(np.full(15_800, 0.5), abs=1e-3)


def test_nobody_mixes_in_another_way() -> None:
    sources = [path for folder in ("multitalk", "nodes", "cluster") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    assert [path for path in sources if "AudioResampler(" in path.read_text("utf-8")] == []


def test_sound_of_a_clip_in_5_1_stays_within_full_scale(tmp_path: Path) -> None:
    tone_T = 0.99 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000)
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width = pictures.height = 32
        sound = container.add_stream("pcm_f32le", rate=48_000, layout="5.1")
        for _ in range(12):
            container.mux(
                pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24"))
            )
        loud = frame_of(np.tile(tone_T, (6, 1)), "5.1")
        for each in (pictures.encode(None), sound.encode(loud), sound.encode(None)):
            container.mux(each)
    heard = open_source(tmp_path / "clip.mkv").sound()
    assert heard.samples_CT.shape == (2, 24_000)
    assert float(heard.samples_CT.abs().max()) == pytest.approx(0.99, abs=1e-3), "2.39 without turning down"
