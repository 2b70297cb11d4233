import torch
from evertalk_pack.multitalk.windows.camera import CameraMove
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.prompt_timeline import Keyframe
from evertalk_pack.multitalk.windows.references import moving_reference, still_reference
from evertalk_pack.multitalk.windows.settings import FrameSize

FIRST, SECOND = torch.zeros(8, 8, 3), torch.ones(8, 8, 3)
WINDOWS = plan_windows(250, 81, 9)


def test_still_picture_is_the_same_tensor_in_every_window() -> None:
    reference = still_reference((Keyframe(0.0, FIRST),))
    assert all(reference(window) is FIRST for window in WINDOWS)


def test_picture_changes_with_the_first_window_whose_new_frames_come_after_its_time() -> None:
    # new frames begin at 0, 3.24, 6.12 and 9 s
    reference = still_reference((Keyframe(0.0, FIRST), Keyframe(6.12, SECOND)))
    assert [reference(window) is SECOND for window in WINDOWS] == [False, False, True, True]


def test_moving_reference_gives_every_window_another_part_of_the_picture() -> None:
    ramp = torch.linspace(0, 1, 64).expand(64, -1)[..., None].expand(-1, -1, 3)
    reference = moving_reference(
        (Keyframe(0.0, ramp),), FrameSize(16, 16), CameraMove(pan_x_percent=40), 10.0
    )
    shots = [reference(window) for window in WINDOWS]
    assert {tuple(shot.shape) for shot in shots} == {(16, 16, 3)}
    means = [float(shot.mean()) for shot in shots]
    travelled = torch.tensor([0.324, 0.288, 0.288]) * 0.4 * 64 / 63
    torch.testing.assert_close(torch.tensor(means).diff(), travelled, atol=0, rtol=1e-3)
