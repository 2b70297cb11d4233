import torch
from evertalk_pack.multitalk.windows.audio_frames import context_indices, window_of_frames


def test_context_is_two_frames_before_to_two_after() -> None:
    assert context_indices(100, 10, 2).tolist() == [[8, 9, 10, 11, 12], [9, 10, 11, 12, 13]]


def test_context_is_clamped_to_both_ends_of_the_track() -> None:
    assert context_indices(4, 0, 1).tolist() == [[0, 0, 0, 1, 2]]
    assert context_indices(4, 3, 2).tolist() == [[1, 2, 3, 3, 3], [2, 3, 3, 3, 3]]


def test_a_window_holds_the_features_of_its_context() -> None:
    track_NLC = torch.arange(6.0)[:, None, None].expand(6, 3, 2)
    window = window_of_frames(track_NLC, 1, 4)
    assert window.shape == (4, 5, 3, 2)
    assert window[:, 2, 0, 0].tolist() == [1, 2, 3, 4]
    assert window[0, :, 2, 1].tolist() == [0, 0, 1, 2, 3]
