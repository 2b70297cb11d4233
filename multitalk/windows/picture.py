"""The start picture: what is accepted, and what one window sees of it.

Shape letters: B batch, H and W pixels, C channels; values 0..1.
"""

import torch

from ..common.errors import InputError


def checked_picture(image_BHWC: object) -> tuple[torch.Tensor, tuple[str, ...]]:
    """The first picture (H, W, 3) of an IMAGE, and a sentence if there are more.

    Raises:
        InputError: no picture, no pixels, too few channels, or values that are no numbers.
    """
    if not isinstance(image_BHWC, torch.Tensor) or image_BHWC.ndim != 4:
        found = tuple(image_BHWC.shape) if isinstance(image_BHWC, torch.Tensor) else type(image_BHWC).__name__
        raise InputError(
            f"start_image: {found}, expected an IMAGE (pictures, height, width, 3). Connect Load Image."
        )
    if 0 in image_BHWC.shape:
        raise InputError(
            f"start_image: a picture of size {tuple(image_BHWC.shape)} has no pixels. Connect Load Image "
            f"with a "
            "picture of at least 16x16 pixels."
        )
    if image_BHWC.shape[-1] < 3:
        raise InputError(
            f"start_image: {image_BHWC.shape[-1]} colour channels, expected 3. Convert the picture to RGB."
        )
    picture_HWC = image_BHWC[0, ..., :3].float()
    if not torch.isfinite(picture_HWC).all():
        raise InputError(
            "start_image: the picture holds NaN or infinite values. Load it again, or look at the node that "
            "made it."
        )
    count = len(image_BHWC)
    notes = (f"start_image holds {count} pictures; the first is used",) if count > 1 else ()
    return picture_HWC, notes
