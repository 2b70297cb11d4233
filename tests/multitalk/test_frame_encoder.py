"""The encoder gives the same bytes whatever the process that it runs in did before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent

ENCODE = """
import sys
sys.path.insert(0, sys.argv[1])
import load_pack
import hashlib, pathlib, torch
from evertalk_pack.multitalk.frame_encoder import VideoSettings
from evertalk_pack.multitalk.segment import write_segment
torch.set_num_threads(1)
noise = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
frames = torch.nn.functional.interpolate(noise, (96, 96), mode="bilinear").permute(0, 2, 3, 1).contiguous()
path = pathlib.Path(sys.argv[2])
write_segment(path, frames, VideoSettings())
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def encoded_with_memory_full_of(value: int, path: Path) -> str:
    """The digest of a film encoded where glibc fills fresh memory with a value."""
    environment = {**os.environ, "MALLOC_PERTURB_": str(value), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}
    command = [sys.executable, "-c", ENCODE, str(TESTS), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="fills memory through glibc")
def test_bytes_do_not_depend_on_what_fresh_memory_holds(tmp_path: Path) -> None:
    digests = {encoded_with_memory_full_of(value, tmp_path / "film.mp4") for value in (0, 85, 254)}
    assert len(digests) == 1
