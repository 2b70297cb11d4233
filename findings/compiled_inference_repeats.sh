#!/usr/bin/env bash
# torch 2.11.0, torch.compile (inductor): what is written twice is computed twice in inference, once in training.
#
# (x @ w).relu() + (x @ w).sigmoid() is one matrix product if a gradient is wanted, also in the forward alone. With
# no gradient wanted (plain tensors, no_grad, inference_mode) the same function calls the product twice: equal
# expressions are merged where forward and backward are parted, and inference has no such step. Constants are the
# same: each torch.ones(()) of a model is a buffer and a kernel of its own. So compiled code that samples keeps in
# a variable what it needs twice; a compiler that is trusted with it pays in full.
#
# PYTHON: one that has the pinned package, else a venv is made for it (gigabytes). Needs a C++ compiler.
set -euo pipefail
python="${PYTHON:-python3}"
pinned='import importlib.metadata as m, sys
sys.exit(0 if m.version("torch").split("+")[0] == "2.11.0" else 1)'
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
if ! "$python" -c "$pinned" 2>/dev/null; then
  "$python" -m venv "$folder/venv"
  python="$folder/venv/bin/python"
  "$python" -m pip install --quiet torch==2.11.0 numpy
fi
export TORCHINDUCTOR_CACHE_DIR="$folder/compiled"
"$python" - <<'PY' 2>"$folder/warnings" || { cat "$folder/warnings" >&2; exit 1; }
import torch
from torch._inductor.utils import run_and_get_code

x, w = torch.randn(8, 8), torch.randn(8, 8)


def twice(x, w):
    return (x @ w).relu() + (x @ w).sigmoid()


def constants(x, w):
    return x @ torch.ones(8, 8), w @ torch.ones(8, 8)


def calls(function, w, what):
    torch._dynamo.reset()
    result, code = run_and_get_code(torch.compile(function), x, w)
    return result, code[0].count(what)


found = {}
for name, context in (("grad mode", torch.enable_grad), ("no_grad", torch.no_grad), ("inference_mode", torch.inference_mode)):
    with context():
        result, found[name] = calls(twice, w, "extern_kernels.mm(")
    assert torch.allclose(result, twice(x, w), atol=1e-6)
    print(f"{name}, no gradient wanted: {found[name]} products")
_, found["training"] = calls(twice, w.clone().requires_grad_(), "extern_kernels.mm(")
print(f"a gradient of w wanted: {found['training']} product in the forward")
_, ones = calls(constants, w, "cpp_fused_ones_0(buf")
print(f"two equal torch.ones: {ones} kernel calls that fill them")
assert set(found.values()) == {1, 2}
assert found.pop("training") == 1
assert ones == 2
print("shown: equal expressions are merged for training alone")
PY
