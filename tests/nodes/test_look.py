from typing import Any

import pytest
from evertalk_pack.multitalk.windows.camera import CameraMove
from evertalk_pack.multitalk.windows.colour import ColourMethod
from evertalk_pack.multitalk.windows.finish import LookSettings

pytestmark = pytest.mark.host


def result_of(output: Any) -> Any:
    (value,) = output.result
    return value


def test_widgets_default_to_the_settings_own_defaults() -> None:
    from evertalk_pack.nodes.look import EverTalkLook

    defaults = {widget.id: widget.default for widget in EverTalkLook.define_schema().inputs}  # type: ignore[attr-defined]
    settings = result_of(EverTalkLook.execute(**defaults))
    assert settings == LookSettings()


def test_every_widget_reaches_the_settings() -> None:
    from evertalk_pack.nodes.look import EverTalkLook

    settings = result_of(EverTalkLook.execute("mkl", 0.5, 4, 1.2, -3.0, 7.0))
    assert settings == LookSettings(ColourMethod.MKL, 0.5, 4, CameraMove(1.2, -3.0, 7.0))
