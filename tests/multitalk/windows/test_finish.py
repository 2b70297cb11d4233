import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.colour import ColourMethod
from evertalk_pack.multitalk.windows.finish import LookSettings, look_for_windows
from evertalk_pack.multitalk.windows.settings import WindowSettings


def test_colour_is_matched_only_with_a_method_and_a_strength() -> None:
    assert not LookSettings().matches_colour
    assert not LookSettings(ColourMethod.LAB, colour_strength=0).matches_colour
    assert LookSettings(ColourMethod.MKL, colour_strength=0.1).matches_colour


def test_blend_that_fits_the_windows_stays_without_a_word() -> None:
    look = LookSettings(blend_frames=9)
    assert look_for_windows(look, WindowSettings(81, 9)) == (look, ())


@pytest.mark.parametrize(("windows", "limit"), [(WindowSettings(81, 9), 9), (WindowSettings(17, 13), 3)])
def test_blend_is_cut_to_what_windows_share_and_to_less_than_they_add(
    windows: WindowSettings, limit: int
) -> None:
    look, notes = look_for_windows(LookSettings(blend_frames=20), windows)
    assert look.blend_frames == limit
    assert notes[0].startswith(f"blend_frames 20 became {limit}: windows of {windows.window_frames} frames")


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_colour_strength_beyond_its_range_is_refused(strength: float) -> None:
    with pytest.raises(InputError, match=r"colour_strength is .*; give a number from 0"):
        LookSettings(colour_strength=strength)


def test_negative_blend_is_refused() -> None:
    with pytest.raises(InputError, match="blend_frames is -1; give 0"):
        LookSettings(blend_frames=-1)
