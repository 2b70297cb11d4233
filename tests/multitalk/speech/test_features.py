import pytest
import torch
from evertalk_pack.multitalk.speech.config import SpeechEncoderConfig
from evertalk_pack.multitalk.speech.features import (
    ConvLayer,
    in_norm,
    interpolated,
    overlapping,
    samples_stats,
)
from tiny_speech import BASE, LARGE, speech_like, tiny_encoder
from torch.nn import functional as F


def test_normed_speech_has_mean_0_and_variance_1() -> None:
    speech_T = speech_like(8000) + 0.3
    normed_T = in_norm(speech_T, samples_stats(speech_T))
    assert normed_T.mean() == pytest.approx(0, abs=1e-5)
    assert normed_T.std() == pytest.approx(1, abs=1e-3)


def test_frames_of_a_whole_track_are_every_second_feature() -> None:
    features_FC = torch.randn(2 * 50 - 1, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(interpolated(features_FC, 50), features_FC[::2], atol=1e-5)


def test_interpolation_keeps_the_ends_and_is_linear_between() -> None:
    assert interpolated(torch.tensor([[0.0], [1.0], [2.0]]), 5)[:, 0].tolist() == [0, 0.5, 1, 1.5, 2]


@pytest.mark.parametrize("outputs", [1, 2, 3, 100])
def test_pieces_give_each_output_of_a_convolution_once(outputs: int) -> None:
    samples_T = torch.arange(23.0)
    kernel = torch.ones(1, 1, 5)
    whole = F.conv1d(samples_T[None, None], kernel, stride=3)[0, 0]
    pieces = [
        F.conv1d(piece[None, None], kernel, stride=3)[0, 0] for piece in overlapping(samples_T, outputs, 5, 3)
    ]
    assert torch.equal(torch.cat(pieces), whole)


@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
def test_a_track_in_pieces_has_the_features_of_the_whole(
    config: SpeechEncoderConfig,
) -> None:
    extractor = tiny_encoder(config).feature_extractor
    samples_T = speech_like(16000)
    whole_FC = extractor(samples_T, 16000)
    extractor.piece_features = 7
    assert whole_FC.shape == (49, 16)
    assert torch.allclose(extractor(samples_T, 16000), whole_FC, atol=1e-4)


def test_the_base_style_norms_like_a_group_norm_over_the_whole_track() -> None:
    extractor = tiny_encoder(BASE).feature_extractor
    first = extractor.conv_layers[0]
    assert isinstance(first, ConvLayer)
    samples_T = speech_like(16000)
    x_BCF = first.conv(samples_T[None, None])
    ours = first(samples_T[None, None], extractor.time_stats(samples_T))
    assert torch.allclose(ours, F.gelu(first.layer_norm(x_BCF)), atol=1e-4)


def test_the_silent_tail_does_not_enter_the_statistics() -> None:
    extractor = tiny_encoder(BASE).feature_extractor
    speech_T = speech_like(16000)
    track_T = torch.cat((speech_T, torch.zeros(53120)))
    without_tail, with_tail = extractor(speech_T, 16000), extractor(track_T, 16000)
    assert torch.allclose(with_tail[:49], without_tail, atol=1e-5)
    measured_with_tail = extractor(track_T, track_T.shape[0])
    assert (measured_with_tail[:49] - without_tail).abs().max() > 0.1
