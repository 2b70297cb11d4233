"""Loads the pack into a fresh process as ComfyUI does at its start, and prints what that did, as JSON.

Arguments: the folder of ComfyUI, the folder of the pack. Run by tests/test_pack_in_host.py, not collected.
"""

import asyncio
import importlib
import inspect
import json
import sys
import time
from pathlib import Path

KERNEL_PACKAGES = {
    "flash_attn",
    "flash_attn_interface",
    "fa3_fwd_interface",
    "sageattention",
    "sageattn3",
    "spas_sage_attn",
    "xformers",
}


def main(comfyui: str, pack: Path) -> None:
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = True
    # What main.py has imported, in its order, before it loads a pack.
    importlib.import_module("utils.install_util")
    importlib.import_module("server")
    from comfy_api.latest import io

    import nodes

    modules_before = set(sys.modules)
    nodes_before = set(nodes.NODE_CLASS_MAPPINGS)
    started_s = time.process_time()
    loaded = asyncio.run(nodes.load_custom_node(str(pack)))
    import_s = time.process_time() - started_s
    new_modules = {name.split(".")[0] for name in set(sys.modules) - modules_before}

    name = str(pack).replace(".", "_x_")  # ComfyUI's name for a pack's module
    declared: dict[str, dict[str, object]] = {}
    for file in sorted((pack / "nodes").glob("*.py")):
        module = importlib.import_module(f"{name}.nodes.{file.stem}")
        for found in vars(module).values():
            if (
                inspect.isclass(found)
                and issubclass(found, io.ComfyNode)
                and found.__module__ == module.__name__
            ):
                schema = found.GET_SCHEMA()
                silent = [one.id for one in schema.inputs if not getattr(one, "tooltip", None)]
                declared[schema.node_id] = {"category": schema.category, "inputs_without_tooltip": silent}
    report = {
        "loaded": loaded,
        "import_s": import_s,
        "kernel_packages": sorted(new_modules & KERNEL_PACKAGES),
        "registered": sorted(set(nodes.NODE_CLASS_MAPPINGS) - nodes_before),
        "declared": declared,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
