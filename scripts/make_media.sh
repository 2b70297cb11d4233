#!/usr/bin/env bash
# Makes the pictures, voices and the clip of demo/media anew. Not run by make: the files are committed.
# Needs `make host` (scikit-image, librosa) and espeak-ng (apt-get install espeak-ng).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v espeak-ng >/dev/null || { echo "make_media: espeak-ng is missing: apt-get install espeak-ng" >&2; exit 1; }
spoken="$(mktemp -d)"
trap 'rm -rf "$spoken"' EXIT

espeak-ng -v en-gb -s 162 -p 45 -w "$spoken/speech.wav" \
  "Hello. I was only a photograph a moment ago, and now I can talk for as long as you like. \
The picture ends exactly when my voice does."
espeak-ng -v en-us -s 165 -p 60 -w "$spoken/speech_a.wav" "Good morning. Did you sleep well?"
espeak-ng -v en-gb-scotland -s 150 -p 25 -w "$spoken/speech_b.wav" "Like a stone. And you?"

.venv/bin/python scripts/make_media.py "$spoken"
ls -l demo/media
