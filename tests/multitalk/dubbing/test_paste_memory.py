"""Pasting into a long clip holds a frame of it, not the clip."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from source_clips import write_clip

HEIGHT_PX, WIDTH_PX = 1080, 1920
FRAMES = 40
FRAME_MB = HEIGHT_PX * WIDTH_PX * 3 * 4 / 1e6

SCRIPT = """
import resource, sys
sys.path.insert(0, sys.argv[2])
import load_pack
import torch
from pathlib import Path
from evertalk_pack.multitalk.dubbing.box_text import parse_boxes
from evertalk_pack.multitalk.dubbing.paste import Paster
from evertalk_pack.multitalk.dubbing.source import open_source
from evertalk_pack.multitalk.dubbing.work_region import RegionView, WorkRegion
from evertalk_pack.multitalk.media.clip_times import read_clip_times
from evertalk_pack.multitalk.windows.settings import FrameSize

torch.set_num_threads(1)
clip = open_source(Path(sys.argv[1]))
work = WorkRegion(
    parse_boxes("40%,20%,15%,30%"), FrameSize(1080, 1920), read_clip_times(clip.video), 16, 0.5
)
paster = Paster(clip, RegionView(work, FrameSize(96, 96)), 0.0, 33)
made_FHWC = torch.full((33, 96, 96, 3), 0.5)
peaks = []
for number, frame_HWC in enumerate(paster.window(0, made_FHWC)):
    assert tuple(frame_HWC.shape) == (1080, 1920, 3)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
print(peaks[5], peaks[-1], len(peaks))
"""


def test_later_frames_of_a_full_hd_clip_take_no_more_memory_than_the_first(tmp_path: Path) -> None:
    picture = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    pictures = []
    for number in range(FRAMES):
        picture = picture.copy()
        picture[:, number * 40 : number * 40 + 40] = 200
        pictures.append((number / 30, picture))
    clip = write_clip(tmp_path / "hd.mp4", pictures, time_base=Fraction(1, 90000))
    tests = Path(__file__).resolve().parents[2] / "support"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(clip), str(tests)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    early_mb, late_mb, count = map(float, done.stdout.split())
    assert count == FRAMES
    assert late_mb - early_mb < 2 * FRAME_MB
