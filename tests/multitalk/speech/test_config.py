from dataclasses import replace

import pytest
from evertalk_pack.multitalk.speech.chunks import encoding_bytes
from evertalk_pack.multitalk.speech.config import SpeechEncoderConfig, config_of
from tiny_speech import BASE, LARGE, tiny_encoder


@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
def test_sizes_and_style_are_read_from_the_weights(config: SpeechEncoderConfig) -> None:
    assert config_of(tiny_encoder(config).state_dict()) == config


def test_heads_are_64_wide_unless_told_otherwise() -> None:
    assert config_of(tiny_encoder(BASE).state_dict()).num_heads == 2
    assert config_of(tiny_encoder(BASE).state_dict(), num_heads=8).num_heads == 8


def test_one_feature_sees_400_samples() -> None:
    assert BASE.receptive_field() == 400


@pytest.mark.parametrize("num_heads", [0, 3])
def test_heads_that_do_not_divide_the_channels_are_refused(num_heads: int) -> None:
    with pytest.raises(ValueError, match=f"{num_heads} attention heads do not divide 128 channels"):
        replace(BASE, num_heads=num_heads)


def test_another_number_of_convolutions_is_refused() -> None:
    with pytest.raises(ValueError, match="2 convolutions, not 7"):
        replace(BASE, conv_kernels=(10, 3))


def test_encoding_needs_more_memory_for_a_longer_track_up_to_the_reach_of_attention() -> None:
    minute, hour, day = (encoding_bytes(BASE, 25 * seconds) for seconds in (60, 3600, 86_400))
    assert 500 * 2**20 < minute < hour == day < 700 * 2**20
