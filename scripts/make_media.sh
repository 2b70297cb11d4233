#!/usr/bin/env bash
# Makes demo/media/portrait.jpg and demo/media/speech.flac anew. Not run by make: the two files are committed.
# Needs `make host` (scikit-image, librosa) and espeak-ng (apt-get install espeak-ng).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v espeak-ng >/dev/null || { echo "make_media: espeak-ng is missing: apt-get install espeak-ng" >&2; exit 1; }
spoken="$(mktemp --suffix .wav)"
trap 'rm -f "$spoken"' EXIT

espeak-ng -v en-gb -s 162 -p 45 -w "$spoken" \
  "Hello. I was only a photograph a moment ago, and now I can talk for as long as you like. \
The picture ends exactly when my voice does."

.venv/bin/python - "$spoken" <<'PYTHON'
import sys

import librosa
import soundfile
from PIL import Image
from skimage import data

Image.fromarray(data.astronaut()).save("demo/media/portrait.jpg", quality=92)
samples, rate = librosa.load(sys.argv[1], sr=16000, mono=True)
soundfile.write("demo/media/speech.flac", samples, rate, subtype="PCM_16")
print(f"speech: {len(samples) / rate:.3f} s, {len(samples)} samples")
PYTHON
ls -l demo/media
