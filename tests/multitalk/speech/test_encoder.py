import pytest
import torch
from evertalk_pack.multitalk.common.types import TAIL_FRAMES
from evertalk_pack.multitalk.speech.config import SpeechEncoderConfig
from evertalk_pack.multitalk.speech.waveform import SAMPLES_PER_FRAME
from tiny_speech import BASE, LARGE, speech_like, tiny_encoder

STYLES = pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])


@STYLES
def test_gives_every_layers_output_for_every_frame(config: SpeechEncoderConfig) -> None:
    states_NLC = tiny_encoder(config)(speech_like(16000), 25)
    assert states_NLC.shape == (25, config.num_layers, config.dim)
    assert states_NLC.isfinite().all()


@STYLES
def test_silence_behind_the_speech_changes_its_features_little(config: SpeechEncoderConfig) -> None:
    encoder = tiny_encoder(config)
    frames, num_samples = 50, 50 * SAMPLES_PER_FRAME
    speech_T = speech_like(num_samples)
    track_T = torch.cat((speech_T, torch.zeros(TAIL_FRAMES * SAMPLES_PER_FRAME)))
    stats, unaware = encoder.measured(track_T, num_samples), encoder.measured(track_T, track_T.shape[0])
    alone_NC = encoder.frame_features(speech_T, frames, stats)
    with_tail_NC = encoder.frame_features(track_T, frames + TAIL_FRAMES, stats)[:frames]
    unaware_NC = encoder.frame_features(track_T, frames + TAIL_FRAMES, unaware)[:frames]
    assert difference(with_tail_NC, alone_NC) < 1e-6
    assert difference(unaware_NC, alone_NC) > 5e-4, "what measuring the silence would do"

    alone_NLC = encoder(speech_T, frames)
    with_tail_NLC = encoder(track_T, frames + TAIL_FRAMES, num_samples)[:frames]
    assert difference(with_tail_NLC, alone_NLC) < 0.06, "attention to the silence is left"


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Mean absolute difference over mean absolute value."""
    return float((ours - theirs).abs().mean() / theirs.abs().mean())


@STYLES
def test_digital_silence_and_a_single_sample_give_finite_features(config: SpeechEncoderConfig) -> None:
    encoder = tiny_encoder(config)
    num_samples = (1 + TAIL_FRAMES) * SAMPLES_PER_FRAME
    silence_T = torch.zeros(num_samples)
    click_T = silence_T.clone()
    click_T[0] = 1
    for samples_T in (silence_T, click_T):
        states_NLC = encoder(samples_T, 1 + TAIL_FRAMES, 1)
        assert states_NLC.isfinite().all()
        assert states_NLC.abs().max() < 100


def test_less_than_one_feature_of_sound_is_refused() -> None:
    with pytest.raises(AssertionError, match="only 399 samples"):
        tiny_encoder()(torch.zeros(399), 1)


def test_an_even_position_kernel_keeps_the_number_of_frames() -> None:
    positions = tiny_encoder(BASE).encoder.pos_conv_embed
    x_BNC = torch.randn(1, 9, 128, generator=torch.Generator().manual_seed(0))
    assert positions(x_BNC).shape == (1, 9, 128)


def test_only_the_large_style_norms_the_last_output_alone() -> None:
    states_NLC = tiny_encoder(LARGE)(speech_like(8000), 12)
    encoder = tiny_encoder(LARGE)
    encoder.encoder.layer_norm.weight.zero_()
    encoder.encoder.layer_norm.bias.fill_(5)
    changed_NLC = encoder(speech_like(8000), 12)
    assert torch.equal(changed_NLC[:, :-1], states_NLC[:, :-1])
    assert torch.equal(changed_NLC[:, -1], torch.full((12, 64), 5.0))
