"""The order in which the editor stores the values of nodes that the server may not know.

The editor saves the values of a node's fields as a bare list. These are the fields of WanVideoWrapper's
public nodes and of those that people use around them, in their order.
"""

CONTROLLED = ("seed", "noise_seed")
"""Fields after which the editor stores what becomes of the value after a run."""

CONTROL = "control_after_generate"
"""What newer editors call that."""

CONTROLS = ("fixed", "increment", "decrement", "randomize")


def names_of(text: str) -> tuple[str, ...]:
    """The names of fields that stand side by side in a text."""
    return tuple(text.split())


_IN_ORDER = {
    "AudioCrop": "start_time end_time",
    "AudioSeparation": "chunk_fade_shape chunk_length chunk_overlap",
    "CLIPLoader": "clip_name type device",
    "CLIPTextEncode": "text",
    "CLIPVisionLoader": "clip_name",
    "DownloadAndLoadWav2VecModel": "model base_precision load_device",
    "FloatConstant": "value",
    "GetImageRangeFromBatch": "start_index num_frames",
    "INTConstant": "value",
    "ImageResizeKJv2": "width height upscale_method keep_proportion pad_color crop_position divisible_by "
    "device",
    "LoadAudio": "audio audioUI",
    "LoadImage": "image upload",
    "LoadImageMask": "image channel upload",
    "LoadVideo": "file upload",
    "LoadWanVideoClipTextEncoder": "model_name precision load_device",
    "LoadWanVideoT5TextEncoder": "model_name precision load_device quantization",
    "MaskBatchMulti": "inputcount",
    "MelBandRoFormerModelLoader": "model_name",
    "MultiTalkModelLoader": "model",
    "MultiTalkSilentEmbeds": "num_frames",
    "MultiTalkWav2VecEmbeds": "normalize_loudness num_frames fps audio_scale audio_cfg_scale "
    "multi_audio_type add_noise_floor smooth_transients",
    "NormalizeAudioLoudness": "lufs",
    "PrimitiveFloat": "value",
    "PrimitiveInt": "value control_after_generate",
    "PrimitiveNode": "value",
    "PrimitiveString": "value",
    "PrimitiveStringMultiline": "value",
    "Seed (rgthree)": "seed",
    "SetNode": "name",
    "GetNode": "name",
    "StringConstant": "string",
    "StringConstantMultiline": "string strip_newlines",
    "VHS_LoadAudioUpload": "audio start_time duration",
    "WanInfiniteTalkToVideo": "mode width height length motion_frame_count audio_scale",
    "WanVideoBlockSwap": "blocks_to_swap offload_img_emb offload_txt_emb use_non_blocking "
    "vace_blocks_to_swap prefetch_blocks block_swap_debug",
    "WanVideoClipVisionEncode": "strength_1 strength_2 crop combine_embeds force_offload tiles ratio",
    "WanVideoDecode": "enable_vae_tiling tile_x tile_y tile_stride_x tile_stride_y normalization",
    "WanVideoEncode": "enable_vae_tiling tile_x tile_y tile_stride_x tile_stride_y noise_aug_strength "
    "latent_strength",
    "WanVideoImageToVideoMultiTalk": "width height frame_window_size motion_frame force_offload colormatch "
    "tiled_vae mode output_path",
    "WanVideoLoraSelect": "lora strength low_mem_load merge_loras",
    "WanVideoLoraSelectByName": "lora_name strength low_mem_load merge_loras",
    "WanVideoLoraSelectMulti": "lora_0 strength_0 lora_1 strength_1 lora_2 strength_2 lora_3 strength_3 "
    "lora_4 strength_4 low_mem_load merge_loras",
    "WanVideoModelLoader": "model base_precision quantization load_device attention_mode rms_norm_function",
    "WanVideoSampler": "steps cfg shift seed force_offload scheduler riflex_freq_index denoise_strength "
    "batched_cfg rope_function start_step end_step add_noise_to_samples",
    "WanVideoTeaCache": "rel_l1_thresh start_step end_step cache_device use_coefficients mode",
    "WanVideoTextEncode": "positive_prompt negative_prompt force_offload use_disk_cache device",
    "WanVideoTextEncodeCached": "model_name precision positive_prompt negative_prompt quantization "
    "use_disk_cache device",
    "WanVideoTextEncodeSingle": "prompt force_offload use_disk_cache device",
    "WanVideoTorchCompileSettings": "backend fullgraph mode dynamic dynamo_cache_size_limit "
    "compile_transformer_blocks_only dynamo_recompile_limit force_parameter_static_shapes "
    "allow_unmerged_lora_compile",
    "WanVideoVAELoader": "model_name precision use_cpu_cache verbose",
    "Wav2VecModelLoader": "model base_precision load_device",
}

WIDGETS: dict[str, tuple[str, ...]] = {kind: names_of(fields) for kind, fields in _IN_ORDER.items()}
"""The names of a node's fields, by its class."""
