"""Encoders give the same bytes whatever the process that they run in did before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).resolve().parents[2] / "support"

ENCODE = """
import sys
sys.path.insert(0, sys.argv[1])
import load_pack
import hashlib, json, pathlib, torch
from evertalk_pack.multitalk.media.output_format import offered_formats
from evertalk_pack.multitalk.media.stream_codecs import VideoSettings
torch.set_num_threads(1)
noise = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
frames = torch.nn.functional.interpolate(noise, (96, 96), mode="bilinear").permute(0, 2, 3, 1).contiguous()
path = pathlib.Path(sys.argv[2])
digests = {}
for name, form in offered_formats().items():
    form.write_segment(path, frames, VideoSettings())
    digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
print(json.dumps(digests))
"""


def encoded_with_memory_full_of(value: int, path: Path) -> dict[str, str]:
    """The digest of a film in each form, encoded where glibc fills fresh memory with a value."""
    environment = {**os.environ, "MALLOC_PERTURB_": str(value), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}
    command = [sys.executable, "-c", ENCODE, str(SUPPORT), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="fills memory through glibc")
def test_bytes_do_not_depend_on_what_fresh_memory_holds(tmp_path: Path) -> None:
    first, *others = (encoded_with_memory_full_of(value, tmp_path / "film") for value in (0, 85, 254))
    assert first
    assert all(other == first for other in others)
