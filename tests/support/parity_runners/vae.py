"""Golden cases of the VAE, through the host's own classes as the pack uses them."""

from collections.abc import Mapping
from typing import Any

import torch
from parity_case import Case, Runner, use_comfyui


def unit_frames(video_CFHW: torch.Tensor) -> torch.Tensor:
    """A golden's video, -1..1, as frames (F, H, W, 3), 0..1."""
    return (video_CFHW.movedim(0, -1) + 1) / 2


def run_vae(case: Case) -> Mapping[str, torch.Tensor]:
    """Encode, decode, a single frame, a length that is not 4n+1, and the round trip."""
    use_comfyui()
    import comfy.sd
    from comfy.latent_formats import Wan21
    from evertalk_pack.nodes.host.codecs.vae import Codec

    vae: Any = comfy.sd.VAE(sd=dict(case.weights), dtype=torch.float32)
    normal = Wan21()
    frames_FHWC = unit_frames(case.inputs["in_video"])
    latents = normal.process_in(Codec(vae).encode(frames_FHWC))
    shorter = frames_FHWC[: 1 + 4 * (case.outputs["out_latent_truncated"].shape[1] - 1) + 3]
    raw = vae.first_stage_model.decode(normal.process_out(case.inputs["in_latent"][None]))
    round_trip = Codec(vae).decode(normal.process_out(latents))
    return {
        "out_latent": latents[0],
        "out_latent_first_frame_only": normal.process_in(Codec(vae).encode(frames_FHWC[:1]))[0],
        "out_latent_truncated": normal.process_in(Codec(vae).encode(shorter))[0],
        "out_decoded_raw": raw[0],
        "out_roundtrip": (round_trip * 2 - 1).movedim(-1, 0),
    }


RUNNERS: dict[str, Runner] = {"vae_tiny": run_vae}
