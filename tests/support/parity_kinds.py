"""Tells which kind of golden case a case.json describes."""

from collections.abc import Callable, Mapping
from typing import Any

KINDS = (
    "audio_mix",
    "audio_proj",
    "audio_window",
    "color_match",
    "flashtalk_audio",
    "guidance",
    "loop_flashtalk",
    "loop_infinitetalk",
    "loop_multitalk",
    "loop_skyreels",
    "loudness",
    "model_dual",
    "model_single",
    "teacache",
    "timesteps",
    "vae_tiny",
    "wav2vec2_group",
    "wav2vec2_layer",
)

MARKS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("in_left", lambda _: "audio_mix"),
    ("out_first_frame_", lambda _: "audio_proj"),
    ("in_full_audio_emb", lambda _: "audio_window"),
    ("out_strength_", lambda _: "color_match"),
    ("out_text1_cfg_step", lambda _: "guidance"),
    ("out_video_index", lambda config: f"loop_{config['run']['repo']}"),
    ("out_stream_gain", lambda _: "flashtalk_audio"),
    ("out_lufs_", lambda _: "loudness"),
    ("out_pred", lambda config: "model_single" if config["humans"] == 1 else "model_dual"),
    ("out_should_calc_", lambda _: "teacache"),
    ("out_timesteps_steps", lambda _: "timesteps"),
    ("out_roundtrip", lambda _: "vae_tiny"),
    ("out_cnn_features", lambda config: f"wav2vec2_{config['wav2vec2']['feat_extract_norm']}"),
)
"""The tensor name that only one family of cases has, and how its config names the kind."""


def kind_of(meta: Mapping[str, Any]) -> str:
    """The kind of a case: the longest kind that its name begins with, else the one its tensors betray.

    Raises:
        ValueError: the case is of none of the known kinds.
    """
    name = str(meta["case"]).replace("\\", "/").rsplit("/", 1)[-1]
    by_name = [kind for kind in KINDS if name.startswith(kind)]
    if by_name:
        return max(by_name, key=len)
    tensors = list(meta.get("tensors") or ())
    for mark, decide in MARKS:
        if any(tensor.startswith(mark) for tensor in tensors):
            return decide(meta.get("config") or {})
    raise ValueError(f"case {name!r} is of no known kind; known are: {', '.join(KINDS)}")
