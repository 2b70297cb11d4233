"""Runs the golden cases of sound and speech."""

from dataclasses import replace
from itertools import islice

import torch
from evertalk_pack.multitalk.common.types import LiveForm, Waveform
from evertalk_pack.multitalk.speakers.voice_mix import VoiceOrder, arrange_voices, mix_voices, silence_like
from evertalk_pack.multitalk.speech.checkpoint import clean_weights
from evertalk_pack.multitalk.speech.config import config_of
from evertalk_pack.multitalk.speech.encoder import SpeechEncoder
from evertalk_pack.multitalk.speech.features import in_norm, samples_stats
from evertalk_pack.multitalk.speech.live import buffers
from evertalk_pack.multitalk.speech.loudness import loudness_of_pieces, speech_gain, with_gain
from evertalk_pack.multitalk.windows.voices import context_indices, newest_frames, window_of_frames
from parity_case import Case, Runner

Tensors = dict[str, torch.Tensor]


def run_audio_mix(case: Case) -> Tensors:
    """The reference gives an absent speaker a voice of zeros, which takes time in `add`; so do we here."""
    left, right, left_same = (
        Waveform(case.inputs[f"in_{name}"][None], 16000) for name in ("left", "right", "left_same")
    )
    pairs: dict[str, tuple[Waveform, Waveform]] = {
        "para": (left_same, right),
        "add": (left, right),
        "left_only": (left, silence_like(left)),
        "right_only": (silence_like(right), right),
    }
    outputs: Tensors = {}
    for name, voices in pairs.items():
        longest = max(voice.samples_CT.shape[1] for voice in voices)
        order: VoiceOrder = "para" if case.outputs[f"out_{name}_sum"].shape[-1] == longest else "add"
        tracks = arrange_voices(voices, order)
        outputs[f"out_{name}_sum"] = mix_voices(tracks).samples_CT[0]
        for number, track in enumerate(tracks, start=1):
            outputs[f"out_{name}_speaker{number}"] = track.samples_CT[0]
    return outputs


def run_audio_window(case: Case) -> Tensors:
    track_NLC = case.inputs["in_full_audio_emb"]
    outputs: Tensors = {}
    for number, (start, end) in enumerate(case.inputs["in_windows"].tolist()):
        outputs[f"out_center_indices_{number}"] = context_indices(track_NLC.shape[0], start, end - start)
        outputs[f"out_audio_{number}"] = window_of_frames(track_NLC, start, end - start)[None]
    return outputs


def run_loudness(case: Case) -> Tensors:
    outputs: Tensors = {}
    for name, samples in case.inputs.items():
        topic = name.removeprefix("in_")
        golden = case.outputs[f"out_{topic}"]
        measured = loudness_of_pieces([samples], case.config["sr"])
        gain = speech_gain(measured, case.config["lufs"])
        outputs[f"out_{topic}"] = with_gain(samples, gain)[: golden.shape[0]]
        if measured is not None:
            outputs[f"out_lufs_{topic}"] = torch.tensor(measured, dtype=torch.float64)
    return outputs


def run_wav2vec2(case: Case) -> Tensors:
    encoder = encoder_of(case)
    samples_T = case.inputs["in_waveform"]
    num_samples = samples_T.shape[0]
    num_frames = int(
        num_samples / case.config["sampling_rate"] * case.config["fps"]
    )  # as the reference counts
    stats = samples_stats(samples_T) if encoder.config.normalise_input else None
    prepared_T = in_norm(samples_T, stats)
    cnn_FC = encoder.feature_extractor(prepared_T, num_samples)
    frames_NC = encoder.frame_features(samples_T, num_frames, encoder.measured(samples_T, num_samples))
    states_NLC = encoder(samples_T, num_frames)
    silence_NLC = encoder(torch.zeros_like(samples_T), num_frames)
    return {
        "out_input_values_head": prepared_T[: case.outputs["out_input_values_head"].shape[0]],
        "out_cnn_features": cnn_FC,
        "out_features_interp": frames_NC,
        "out_hidden_state0": encoder.encoder.placed(encoder.feature_projection(frames_NC[None]))[0],
        "out_last_hidden_state": states_NLC[:, -1],
        "out_embedding": states_NLC,
        "out_seq_len": torch.tensor(num_frames),
        "out_embedding_silence": silence_NLC[: case.outputs["out_embedding_silence"].shape[0]],
    }


def run_flashtalk_audio(case: Case) -> Tensors:
    """Both ways of hearing one sound. The pack makes a window of what is left at the end too; here as many
    windows are compared as the reference makes.
    """
    run, encoder = case.config["run"], encoder_of(case)
    frames, motion = run["frame_num"], run["motion_frame"]
    fps, rate_hz = case.config["fps"], case.config["sampling_rate"]
    samples_T = case.inputs["in_waveform"]
    form = LiveForm(frames, motion)
    kept = buffers(samples_T, form.chunk_frames, run["cached_audio_s"] * fps, normalise=True)
    outputs: Tensors = {}
    gains: list[float] = []
    for number, buffer in enumerate(islice(kept, len(case.outputs["out_stream_gain"]))):
        gains.append(buffer.gain)
        states_NLC = encoder(buffer.heard_T, run["cached_audio_s"] * fps)
        name = f"out_stream_w{number}"
        tail = case.outputs.get(f"{name}_embedding_tail")
        outputs[f"{name}_embedding_tail"] = states_NLC[-form.kept_frames if tail is None else -len(tail) :]
        outputs[f"{name}_audio"] = newest_frames(states_NLC[-form.kept_frames :], frames)[None]
        values = case.outputs.get(f"{name}_input_values_tail")
        if values is not None:
            heard_T = in_norm(buffer.heard_T, samples_stats(buffer.heard_T))
            outputs[f"{name}_input_values_tail"] = heard_T[-len(values) :]
    outputs["out_stream_gain"] = torch.tensor(gains)
    gain = speech_gain(loudness_of_pieces([samples_T], rate_hz))
    whole_NLC = encoder(with_gain(samples_T, gain), int(len(samples_T) / rate_hz * fps))
    outputs |= {"out_once_embedding": whole_NLC, "out_once_gain": torch.tensor(gain)}
    for number in range((len(whole_NLC) - frames) // form.chunk_frames):
        outputs[f"out_once_w{number}_audio"] = window_of_frames(
            whole_NLC, number * form.chunk_frames, frames
        )[None]
    return outputs


def encoder_of(case: Case) -> SpeechEncoder:
    """The case's encoder: what its weights tell, checked against what its config says and they do not."""
    sizes = case.config["wav2vec2"]
    weights = clean_weights(case.weights)
    config = replace(
        config_of(weights, sizes["num_attention_heads"]),
        conv_strides=tuple(sizes["conv_stride"]),
        feature_norm=sizes["feat_extract_norm"],
        stable_layer_norm=sizes["do_stable_layer_norm"],
        normalise_input=case.config["do_normalize"],
    )
    assert config.dim == sizes["hidden_size"]
    assert config.conv_kernels == tuple(sizes["conv_kernel"])
    assert config.position_groups == sizes["num_conv_pos_embedding_groups"]
    encoder = SpeechEncoder(config)
    encoder.load_state_dict(weights)
    return encoder


RUNNERS: dict[str, Runner] = {
    "audio_mix": run_audio_mix,
    "audio_window": run_audio_window,
    "flashtalk_audio": run_flashtalk_audio,
    "loudness": run_loudness,
    "wav2vec2_group": run_wav2vec2,
    "wav2vec2_layer": run_wav2vec2,
}
