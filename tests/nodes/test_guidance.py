from typing import Any

import pytest
from evertalk_pack.multitalk.model.guidance import GuidanceSettings

pytestmark = pytest.mark.host


def result_of(output: Any) -> Any:
    (value,) = output.result
    return value


def test_widgets_default_to_the_settings_own_defaults() -> None:
    from evertalk_pack.nodes.guidance import EverTalkGuidance

    defaults = {widget.id: widget.default for widget in EverTalkGuidance.define_schema().inputs}  # type: ignore[attr-defined]
    settings = result_of(EverTalkGuidance.execute(**defaults))
    assert settings == GuidanceSettings()


def test_every_widget_reaches_the_settings() -> None:
    from evertalk_pack.nodes.guidance import EverTalkGuidance

    rest = {
        "apg_momentum": -0.5,
        "apg_norm_threshold": 20.0,
        "audio_start_percent": 0.1,
        "audio_end_percent": 0.9,
    }
    settings = result_of(EverTalkGuidance.execute(text_scale=5, audio_scale=4, apg=True, **rest))
    assert settings == GuidanceSettings(5, 4, apg=True, **rest)


def test_a_span_that_ends_before_it_starts_is_refused_before_anything_runs() -> None:
    from evertalk_pack.nodes.guidance import EverTalkGuidance

    answer = EverTalkGuidance.validate_inputs(audio_start_percent=0.6, audio_end_percent=0.4)
    assert "give 0 <= start <= end <= 1" in str(answer)
    assert EverTalkGuidance.validate_inputs(audio_start_percent=0.4, audio_end_percent=0.6) is True
