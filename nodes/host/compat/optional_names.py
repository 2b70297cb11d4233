"""The host's names that not every release has; only adapters in this folder use them.

A test (tests/test_host_names.py) reads every name of the host that the pack uses and looks for it in the
host at hand. A name in this list may be missing there, so whoever uses it asks first (`hasattr`,
`getattr`, `try`).
"""

OPTIONAL_NAMES = {
    "comfy.memory_management": "from 0.12.0 on",
    "comfy.model_management.is_oom": "after 0.3.75",
    "comfy.model_patcher.CoreModelPatcher": "from 0.12.0 on",
    "comfy.model_patcher.ModelPatcher.cached_patcher_init": "after 0.15.0",
    "comfy.model_patcher.ModelPatcher.is_dynamic": "from 0.12.0 on",
    "comfy.ops.scaled_fp8_ops": "until 0.3.76",
    "comfy.quant_ops._CK_AVAILABLE": "from 0.8.0 on",
    "comfy.utils.convert_old_quants": "from 0.4.0 on",
    "comfy.utils.string_to_seed": "from 0.12.0 on",
}
"""Name in full -> in which releases it is there."""
