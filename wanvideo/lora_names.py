"""The names under which LoRA files change a Wan transformer's weights, as ComfyUI spells them.

The same layer is called `diffusion_model.blocks.0.self_attn.q` by ComfyUI and by most trainers,
`blocks.0.self_attn.q` by DiffSynth-SamplingBackend, `transformer.blocks.0.attn1.to_q` by diffusers,
`base_model.model.blocks.0.self_attn.q` by PEFT, `lora_unet_blocks_0_self_attn_q` by musubi-tuner and
`lycoris_blocks_0_attn1_to_q` by SimpleTuner; and what belongs to it ends in `.lora_A.weight`,
`.lora_A.default.weight`, `.lora_down.weight`, `.lora.down.weight` and so on. Any beginning is taken with any
ending.
"""

import re
from collections.abc import Iterable, Mapping

HOST = "diffusion_model."
"""How ComfyUI's names of the transformer's weights begin."""

BEGINNINGS = re.compile(
    r"^(?:model[._]|diffusion_model[._]|transformer[._]|base_model[._]model[._]|unet[._]|dit[._]|pipe\.dit\."
    r"|module[._]|lora_unet_+|lora_transformer_+|lycoris_+)"
)
"""What comes before a layer's own name; several of them may follow each other."""

ENDINGS = {
    "lora_A": "lora_down.weight",
    "lora_B": "lora_up.weight",
    "lora_A.weight": "lora_down.weight",
    "lora_B.weight": "lora_up.weight",
    "lora_A.default.weight": "lora_down.weight",
    "lora_B.default.weight": "lora_up.weight",
    "lora_down.weight": "lora_down.weight",
    "lora_up.weight": "lora_up.weight",
    "lora_mid.weight": "lora_mid.weight",
    "lora.down.weight": "lora_down.weight",
    "lora.up.weight": "lora_up.weight",
    "lora_linear_layer.down.weight": "lora_down.weight",
    "lora_linear_layer.up.weight": "lora_up.weight",
    "alpha": "alpha",
    "dora_scale": "dora_scale",
    "lora_magnitude_vector": "dora_scale",
    "lora_magnitude_vector.weight": "dora_scale",
    "lora_magnitude_vector.default.weight": "dora_scale",
    **{name: name for name in ("diff", "diff_b", "w_norm", "b_norm", "set_weight", "reshape_weight")},
    **{f"hada_{part}": f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f"lokr_{part}": f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
}
"""What may follow a layer's name, and what ComfyUI calls it in all its releases."""

_ENDING = re.compile(r"[._](" + "|".join(re.escape(name) for name in sorted(ENDINGS, key=len)[::-1]) + r")$")
_MODULATION = re.compile(r"[._](?:diff_m|(?:modulation|scale_shift_table)\.diff)$")

DIFFUSERS = (
    (re.compile(r"_processor_"), "_"),
    (re.compile(r"^(blocks_\d+)_attn1_"), r"\1_self_attn_"),
    (re.compile(r"^(blocks_\d+)_attn2_"), r"\1_cross_attn_"),
    (re.compile(r"_add_([kv])_proj$"), r"_\1_img"),
    (re.compile(r"_norm_added_k$"), "_norm_k_img"),
    (re.compile(r"_attn_to_([qkv])$"), r"_attn_\1"),
    (re.compile(r"_attn_to_out(?:_0)?$"), "_attn_o"),
    (re.compile(r"^(blocks_\d+)_ffn_net_0_proj$"), r"\1_ffn_0"),
    (re.compile(r"^(blocks_\d+)_ffn_net_2$"), r"\1_ffn_2"),
    (re.compile(r"^(blocks_\d+)_norm2$"), r"\1_norm3"),
    (re.compile(r"^condition_embedder_time_embedder_linear_1$"), "time_embedding_0"),
    (re.compile(r"^condition_embedder_time_embedder_linear_2$"), "time_embedding_2"),
    (re.compile(r"^condition_embedder_time_proj$"), "time_projection_1"),
    (re.compile(r"^condition_embedder_text_embedder_linear_1$"), "text_embedding_0"),
    (re.compile(r"^condition_embedder_text_embedder_linear_2$"), "text_embedding_2"),
    (re.compile(r"^condition_embedder_image_embedder_norm1$"), "img_emb_proj_0"),
    (re.compile(r"^condition_embedder_image_embedder_ff_net_0_proj$"), "img_emb_proj_1"),
    (re.compile(r"^condition_embedder_image_embedder_ff_net_2$"), "img_emb_proj_3"),
    (re.compile(r"^condition_embedder_image_embedder_norm2$"), "img_emb_proj_4"),
    (re.compile(r"^proj_out$"), "head_head"),
    (re.compile(r"^modulation$"), "head_modulation"),
)
"""diffusers' names of Wan's layers (its WanTransformer3DModel), with `_` for `.`, and Wan's own."""


def host_names(names: Iterable[str], weights: Iterable[str]) -> dict[str, str]:
    """What ComfyUI calls each tensor of a LoRA file.

    Args:
        names: of the file's tensors.
        weights: of the transformer, without HOST (`blocks.0.self_attn.q.weight`, `blocks.0.modulation`).

    Returns:
        for each name, the host's; the name itself where nothing of the transformer is meant, or where another
        tensor of the file has that name already.
    """
    layers = {
        name.removesuffix(".weight").replace(".", "_"): name.removesuffix(".weight") for name in weights
    }
    known = {name: _host_name(name, layers) or name for name in names}
    taken = {name for name, hosts in known.items() if name == hosts}
    for name, hosts in known.items():
        if hosts in taken:
            known[name] = name
        taken.add(known[name])
    return known


def _host_name(name: str, layers: Mapping[str, str]) -> str | None:
    modulation = _MODULATION.search(name)
    if modulation is not None:
        layer = _layer(name[: modulation.start()] + ".modulation", layers)
        return None if layer is None else f"{HOST}{layer}.diff"
    ending = _ENDING.search(name)
    if ending is None:
        return None
    layer = _layer(name[: ending.start()], layers)
    return None if layer is None else f"{HOST}{layer}.{ENDINGS[ending[1]]}"


def _layer(name: str, layers: Mapping[str, str]) -> str | None:
    """The transformer's layer that a name means, without its ending; None: none of its layers."""
    flat = name
    while (beginning := BEGINNINGS.match(flat)) is not None:
        flat = flat[beginning.end() :]
    flat = flat.replace(".", "_")
    if flat in layers:
        return layers[flat]
    for pattern, wans in DIFFUSERS:
        flat = pattern.sub(wans, flat)
    return layers.get(flat)
