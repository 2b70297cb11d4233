import torch
from evertalk_pack.multitalk.windows.modes import (
    InfiniteTalkMode,
    MultiTalkMode,
    WindowInputs,
    padded_with_grey,
)
from evertalk_pack.wanvideo.geometry import latent_frames

HEIGHT, WIDTH, WINDOW = 16, 24, 9


class MeanEncoder:
    """Each latent is the mean of its frames: causal, as Wan's VAE is. Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frames_FHWC: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        groups = [frames_FHWC[:1], *frames_FHWC[1:].split(4)]
        means = torch.stack([group.mean() for group in groups])
        return means[None, None, :, None, None].expand(1, 16, -1, HEIGHT // 8, WIDTH // 8)


def frames(count: int, value: float) -> torch.Tensor:
    return torch.full((count, HEIGHT, WIDTH, 3), value)


def test_known_frames_are_followed_by_mid_grey() -> None:
    padded = padded_with_grey(frames(2, 0.9), 5)
    assert padded[:, 0, 0, 0].tolist() == torch.tensor([0.9, 0.9, 0.5, 0.5, 0.5]).tolist()


def test_infinitetalk_s_first_window_pins_the_picture_itself() -> None:
    condition = InfiniteTalkMode().condition(WindowInputs(frames(1, 0.25)[0], None, WINDOW), MeanEncoder())
    assert condition.picture_BCTHW.shape[2] == latent_frames(WINDOW)
    assert condition.picture_BCTHW[0, 0, :, 0, 0].tolist() == [0.25, 0.5, 0.5]
    assert condition.known_latents == 1
    assert condition.pin is not None
    assert not condition.pin.noised
    assert condition.pin.latents_BCTHW[0, 0, :, 0, 0].tolist() == [0.25]


def test_infinitetalk_s_later_windows_pin_the_motion_frames_beside_the_same_picture() -> None:
    picture = frames(1, 0.25)[0]
    condition = InfiniteTalkMode().condition(WindowInputs(picture, frames(5, 0.75), WINDOW), MeanEncoder())
    assert condition.picture_BCTHW[0, 0, :, 0, 0].tolist() == [0.25, 0.5, 0.5]
    assert condition.known_latents == 1
    assert condition.pin is not None
    assert condition.pin.latents_BCTHW[0, 0, :, 0, 0].tolist() == [0.75, 0.75]
    assert torch.equal(condition.clip_frame_HWC, picture)


def test_infinitetalk_encodes_a_still_picture_once_and_a_changed_one_again() -> None:
    mode, encode = InfiniteTalkMode(), MeanEncoder()
    still = frames(1, 0.25)[0]
    for _ in range(3):
        mode.condition(WindowInputs(still, None, WINDOW), encode)
    assert encode.calls == 1
    changed = mode.condition(WindowInputs(frames(1, 0.75)[0], None, WINDOW), encode)
    assert encode.calls == 2
    assert changed.picture_BCTHW[0, 0, 0, 0, 0] == 0.75


def test_multitalk_s_first_window_pins_nothing() -> None:
    condition = MultiTalkMode().condition(WindowInputs(frames(1, 0.25)[0], None, WINDOW), MeanEncoder())
    assert condition.pin is None
    assert condition.known_latents == 1
    assert condition.picture_BCTHW[0, 0, :, 0, 0].tolist() == [0.25, 0.5, 0.5]


def test_multitalk_s_later_windows_know_and_pin_the_motion_frames_with_noise() -> None:
    motion = torch.cat((frames(4, 0.75), frames(1, 1.0)))
    condition = MultiTalkMode().condition(WindowInputs(frames(1, 0.25)[0], motion, WINDOW), MeanEncoder())
    assert condition.known_latents == 2
    assert condition.pin is not None
    assert condition.pin.noised
    assert torch.equal(condition.pin.latents_BCTHW, condition.picture_BCTHW[:, :, :2])
    assert torch.equal(condition.clip_frame_HWC, motion[-1]), "CLIP sees the last frame there is"
