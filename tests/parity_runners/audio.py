"""Runs the golden cases of sound and speech."""

import torch
from evertalk_pack.multitalk.audio_frames import context_indices, window_of_frames
from evertalk_pack.multitalk.loudness import at_speech_loudness, loudness_lufs
from evertalk_pack.multitalk.types import Waveform
from evertalk_pack.multitalk.voice_mix import VoiceOrder, arrange_voices, mix_voices, silence_like
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
        sound = Waveform(samples[None], case.config["sr"])
        topic = name.removeprefix("in_")
        golden = case.outputs[f"out_{topic}"]
        outputs[f"out_{topic}"] = at_speech_loudness(sound).samples_CT[0, : golden.shape[0]]
        outputs[f"out_lufs_{topic}"] = torch.tensor(loudness_lufs(sound), dtype=torch.float64)
    return outputs


RUNNERS: dict[str, Runner] = {
    "audio_mix": run_audio_mix,
    "audio_window": run_audio_window,
    "loudness": run_loudness,
}
