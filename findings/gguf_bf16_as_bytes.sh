#!/usr/bin/env bash
# gguf 0.19.0 (the reader of llama.cpp's files that ComfyUI packs use): BF16 tensors come as bytes, twice as wide.
#
# F32 and F16 come as numbers of their own type and shape. BF16, which is not a quantized type
# but has no name in numpy, comes like the quantized ones: uint8 of twice the last dimension, while `shape` still
# says the tensor's own. torch.from_numpy(tensor.data) is then a uint8 tensor that loads without an error wherever
# shapes are not compared: a norm's weights of 5,120 channels are 10,240 integers from 0 to 255. gguf.dequantize
# takes them for what they are.
#
# PYTHON: one that has the pinned packages, else a venv is made for them.
set -euo pipefail
python="${PYTHON:-python3}"
pinned='import importlib.metadata as m, sys
sys.exit(0 if m.version("gguf") == "0.19.0" else 1)'
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
if ! "$python" -c "$pinned" 2>/dev/null; then
  "$python" -m venv "$folder/venv"
  python="$folder/venv/bin/python"
  "$python" -m pip install --quiet gguf==0.19.0
fi
"$python" - "$folder/weights.gguf" <<'PY'
import sys

import gguf
import numpy as np

values = np.arange(12, dtype=np.float32).reshape(3, 4)  # all of them exact in BF16
halves = (values.view(np.uint32) >> 16).astype(np.uint16)
writer = gguf.GGUFWriter(sys.argv[1], "wan")
writer.add_tensor("f32", values)
writer.add_tensor("f16", values.astype(np.float16))
writer.add_tensor("bf16", halves.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
    write()
writer.close()

found = {}
for tensor in gguf.GGUFReader(sys.argv[1]).tensors:
    found[tensor.name] = (tensor.data.dtype.name, tensor.data.shape, [int(size) for size in tensor.shape])
    print(tensor.name, "data", *found[tensor.name][:2], "shape, innermost first", found[tensor.name][2])
    if tensor.name == "bf16":
        whole = gguf.dequantize(tensor.data, tensor.tensor_type)
        print("dequantize of it:", whole.dtype, whole.shape)
        assert (whole == values).all()
assert found["f32"] == ("float32", (3, 4), [4, 3])
assert found["f16"] == ("float16", (3, 4), [4, 3])
assert found["bf16"] == ("uint8", (3, 8), [4, 3])
print("shown: of the three floating types one comes as bytes")
PY
