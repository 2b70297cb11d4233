"""Times four evaluations with offloaded weights: without a LoRA, with it the host's way, with it ours.

    python bench/lora_offload.py                                    bf16, a GPU that seems to have 16 GiB
    python bench/lora_offload.py --weights fp8_e4m3fn --vram-gb 12
    python bench/lora_offload.py --layers 10 --vram-gb 8            a quarter of the blocks: quicker to build
    python bench/lora_offload.py --device cpu --tiny --vram-gb 1    the same code on small shapes

Random weights of the real width, a random LoRA of rank 64 on every matrix of every block; a row of JSON each.
"""

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import pack_alias
from gpu import forward_inputs
from rows import add_model, add_size, emit, emit_setting, parser_of, size_of
from timing import Clock

STEPS = 4


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    add_size(parser)
    add_model(parser, runs=2)
    parser.add_argument("--vram-gb", type=float, default=16.0)
    parser.add_argument("--layers", type=int, help="blocks; all of them unless given")
    parser.add_argument("--rank", type=int, default=64)
    return parser.parse_args()


def with_random_lora(model: Any, rank: int) -> Any:
    """A clone with a LoRA on every matrix of every block, held in RAM as the host's loader holds it."""
    from comfy.weight_adapter.lora import LoRAAdapter

    patches: dict[str, LoRAAdapter] = {}
    for name, weight in model.model.state_dict().items():
        if ".blocks." in name and weight.ndim == 2 and name.endswith(".weight"):
            up, down = torch.randn(weight.shape[0], rank), torch.randn(rank, weight.shape[1])
            pair = (up.mul(0.01).bfloat16(), down.mul(0.01).bfloat16())
            patches[name] = LoRAAdapter(set(), (*pair, float(rank), None, None, None))
    patched = model.clone()
    patched.add_patches(patches, 1.0)
    return patched


def patches_on_the_way(model: Any) -> dict[str, int]:
    """How many weights are patched each time they come to the GPU, by the kind of the patch."""
    functions = (getattr(module, "weight_function", []) for module in model.model.modules())
    return dict(Counter(type(one).__name__ for some in functions for one in some))


def measure(model: Any, inputs: dict[str, torch.Tensor], attention: Any, clock: Clock) -> dict[str, Any]:
    """Seconds of four evaluations after the weights are where the host puts them."""
    import comfy.model_management
    from evertalk_pack.multitalk.windows.loop import WindowVoices
    from evertalk_pack.nodes.host.model.memory import declared_memory, forward_size
    from evertalk_pack.nodes.host.model.patcher import KEY, TalkCall, talks_of

    inputs = dict(inputs)
    audio_SFKLC = inputs.pop("audio_SFKLC")[:1]
    size = forward_size(model, inputs["x"], WindowVoices(audio_SFKLC), attention, 0)
    with declared_memory(model, size, 0.0):
        needed = model.model.memory_required([1])
    models = [model, *model.get_nested_additional_models()]
    comfy.model_management.load_models_gpu(models, memory_required=needed, minimum_memory_required=needed)
    model.pre_run()
    call = TalkCall((WindowVoices(audio_SFKLC),), attention, talks_of(model))
    options = {"cond_or_uncond": [0], KEY: call, "wrappers": model.wrappers}
    sigma = torch.full((1,), 0.9, device=inputs["x"].device)

    def evaluate() -> None:
        for _ in range(STEPS):
            model.model.apply_model(t=sigma, transformer_options=options, **inputs)

    try:
        found = clock.time(evaluate)
    except torch.OutOfMemoryError as error:
        found: dict[str, Any] = {"out_of_memory": str(error).split(". ")[0]}
    found["weights_on_gpu_gb"] = round(sum(one.loaded_size() for one in models) / 1e9, 3)
    found["weights_gb"] = round(sum(one.model_size() for one in models) / 1e9, 3)
    found["patches_on_the_way"] = patches_on_the_way(model)
    model.cleanup()
    return found


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    device = arguments.device
    pack_alias.prepare(use_cpu=device.type == "cpu")
    import limited_vram
    import real_size
    from comfy.patcher_extension import CallbacksMP
    from evertalk_pack.nodes.host.model import lora_patch
    from evertalk_pack.nodes.host.model.backend import backend_for

    whole = real_size.sizes_of(arguments)
    size = replace(whole, num_layers=arguments.layers or whole.num_layers)
    emit_setting("lora_offload", arguments, device)
    with torch.inference_mode():
        plain = real_size.asked_model(arguments, size, placed=limited_vram.to_ram)
        ours = with_random_lora(plain, arguments.rank)
        host = ours.clone()
        host.remove_callbacks_with_key(CallbacksMP.ON_PRE_RUN, lora_patch.KEY)
        attention = backend_for(plain, arguments.attention).attention
        inputs = forward_inputs(*size_of(arguments), device)
        limit = limited_vram.VramLimit(device)
        clock = Clock(device, arguments.runs)
        without_s: float | None = None
        for name, model in (("without", plain), ("ours", ours), ("host", host)):
            limit.set(arguments.vram_gb)
            row = measure(model, inputs, attention, clock)
            seconds = row.get("best_s")
            without_s = seconds if model is plain else without_s
            if seconds and without_s:
                row["cost"] = round(seconds / without_s - 1, 4)
            emit({"what": name, **row})


if __name__ == "__main__":
    main()
