import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.picture import checked_picture


def test_the_first_of_several_pictures_is_used_and_that_is_said() -> None:
    pictures = torch.stack([torch.full((4, 6, 3), value) for value in (0.25, 0.75)])
    picture_HWC, notes = checked_picture(pictures)
    assert torch.equal(picture_HWC, pictures[0])
    assert notes == ("start_image holds 2 pictures; the first is used",)


def test_transparency_is_left_out_and_half_precision_widened() -> None:
    picture_HWC, notes = checked_picture(torch.rand(1, 4, 6, 4, generator=torch.Generator()).half())
    assert picture_HWC.shape == (4, 6, 3)
    assert picture_HWC.dtype == torch.float32
    assert notes == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"start_image: NoneType, expected an IMAGE .*Connect Load Image"),
        (torch.zeros(4, 6, 3), r"start_image: \(4, 6, 3\), expected an IMAGE"),
        (torch.zeros(0, 4, 6, 3), r"start_image: .*\(0, 4, 6, 3\) has no pixels"),
        (torch.zeros(1, 0, 6, 3), r"start_image: .*has no pixels\. Connect Load Image .*16x16"),
        (torch.zeros(1, 4, 0, 3), "start_image: .*has no pixels"),
        (torch.zeros(1, 4, 6, 1), "start_image: 1 colour channels, expected 3. Convert the picture to RGB"),
        (torch.full((1, 4, 6, 3), torch.nan), "start_image: the picture holds NaN .*Load it again"),
        (torch.full((1, 4, 6, 3), torch.inf), "start_image: the picture holds NaN or infinite"),
    ],
)
def test_what_is_no_picture_is_refused(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_picture(given)
