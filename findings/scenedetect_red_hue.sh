#!/usr/bin/env bash
# scenedetect 0.7.2 (PySceneDetect): ContentDetector takes hue for a number on a line, and red lies at both of its ends.
#
# Its score is the mean absolute difference of OpenCV's 8-bit hue, saturation and value. OpenCV's hue goes from 0 to 179
# round a circle; the difference is not taken round it. Two reds a few degrees apart, one on each side of 0, differ by up
# to 179, so that a still shot of a red wall is cut when its light warms by a shade (score about 60, threshold 27), while
# red and green, 120 degrees apart, differ by 60: a cut between a red room and a green one of the same saturation and
# value scores 20 and is missed. No other wall than a red one is cut. AdaptiveDetector uses the same score.
#
# PYTHON: one that has the pinned packages, else a venv is made for them.
set -euo pipefail
python="${PYTHON:-python3}"
pinned='import importlib.metadata as m, sys
sys.exit(0 if m.version("scenedetect-headless") == "0.7.2" else 1)'
if ! "$python" -c "$pinned" 2>/dev/null; then
  folder="$(mktemp -d)"
  trap 'rm -rf "$folder"' EXIT
  "$python" -m venv "$folder/venv"
  python="$folder/venv/bin/python"
  "$python" -m pip install --quiet numpy scenedetect-headless==0.7.2
fi
"$python" - <<'PY'
import colorsys

import numpy as np
from scenedetect import ContentDetector, FrameTimecode


def wall(hue_deg, seed):
    rgb = np.array(colorsys.hsv_to_rgb(hue_deg % 360 / 360, 0.8, 0.7)) * 255
    noise = np.random.default_rng(seed).normal(0, 2, (72, 128, 3))
    return (rgb + noise).clip(0, 255).astype(np.uint8)[..., ::-1].copy()


def cuts(first_deg, then_deg):
    detector, found = ContentDetector(), []
    for number in range(60):
        frame = wall(first_deg if number < 30 else then_deg, number)
        found += detector.process_frame(FrameTimecode(number, 25.0), frame)
    return [cut.frame_num for cut in found]


false = [hue for hue in range(0, 360, 15) if cuts(hue - 3, hue + 3)]
missed = [hue for hue in range(0, 360, 15) if not cuts(hue, hue + 120)]
print("still walls, of 24 hues, that are cut when their hue moves by 6 degrees:", false)
print("cuts to a hue 120 degrees further that are missed, from:", missed)
assert false == [0], false
assert 0 in missed and 120 in missed and len(missed) >= 12, missed
print("shown: red is far from red, and green is near to it")
PY
