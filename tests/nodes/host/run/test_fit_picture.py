"""The start picture and the speakers' masks go through one geometry."""

import pytest
import torch
from evertalk_pack.multitalk.speakers.masks import cover_crop_masks
from evertalk_pack.multitalk.windows.settings import FrameSize

pytestmark = pytest.mark.host


@pytest.mark.parametrize(
    ("height_px", "width_px"), [(61, 97), (97, 61), (480, 832), (1080, 1920), (1001, 333), (120, 999)]
)
@pytest.mark.parametrize("size", [FrameSize(480, 832), FrameSize(640, 640), FrameSize(176, 80)])
def test_an_edge_in_the_picture_and_in_its_mask_end_up_within_a_pixel(
    height_px: int, width_px: int, size: FrameSize
) -> None:
    from evertalk_pack.nodes.host.run.window_pictures import fit_picture

    rows, columns = torch.arange(height_px)[:, None], torch.arange(width_px)
    below = (rows >= height_px * 0.49).expand(-1, width_px)
    right = (columns >= width_px * 0.51).expand(height_px, -1)
    for across, mask_HW in enumerate((below, right)):
        fitted_HWC = fit_picture(mask_HW.float()[..., None].expand(-1, -1, 3), size)
        assert fitted_HWC.shape == (size.height_px, size.width_px, 3)
        assert fitted_HWC.is_contiguous()
        bright = (fitted_HWC[..., 0] >= 0.5).sum(across)
        expected_HW = cover_crop_masks(mask_HW[None].float(), size.height_px, size.width_px)[0] > 0
        assert int((bright - expected_HW.sum(across)).abs().max()) <= 1
        assert bright.unique().numel() == 1
        assert 0 < int(bright[0]) < expected_HW.shape[across]
