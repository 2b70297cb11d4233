"""One of two people in a drawn clip gets a new voice, in the real server with the trained miniatures."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

DEMO = Path(__file__).resolve().parents[2] / "demo"


def test_lips_follow_the_new_voice_and_the_rest_of_the_clip_stays(comfyui: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO / "run.py"), "--clip", "--output-dir", str(tmp_path)]
    done = subprocess.run([*command, "--comfyui", str(comfyui)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = [line.removeprefix("demo: ") for line in done.stdout.splitlines() if line.endswith(".mp4")]
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (320, 240, Fraction(30))
    found = re.search(r"follow the new voice: correlation (\S+) \(before: (\S+)\)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) >= 0.9
    assert float(found[2]) < 0.5
    assert "largest difference outside the region: 0 (of 1" in done.stdout
    changed = re.search(r"changed the other person by (\S+) of 255", done.stdout)
    assert changed is not None
    assert float(changed[1]) < 2
