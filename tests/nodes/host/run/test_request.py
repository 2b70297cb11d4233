"""What the sampler refuses and snaps, and in which order it asks for its sockets."""

import re
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.safe_path import checked_prefix
from evertalk_pack.multitalk.media.output_format import MP4_HEVC10
from tiny_host import picture, unheard, widgets

pytestmark = pytest.mark.host


def plan(video_frames: int = 9, image: object = None, *, has_negative: bool = False, **changed: Any) -> Any:
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets

    start_image = picture() if image is None else image
    asked = SamplerWidgets.of(widgets(**changed))
    return plan_run(PlanInputs(asked, unheard(video_frames), start_image, has_negative=has_negative))


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((1080, 1920), "480p", (448, 896)),
        ((500, 500), "480p", (640, 640)),
        ((500, 500), "720p", (960, 960)),
        ((1920, 1080), "480p", (832, 448)),
    ],
)
def test_the_size_is_the_trained_one_nearest_to_the_picture_s_shape(
    shape: tuple[int, int], size: str, expected: tuple[int, int]
) -> None:
    made = plan(image=picture(*shape), size=size)
    assert (made.size.height_px, made.size.width_px) == expected
    assert made.picture_HWC.shape == (*expected, 3)


def test_custom_size_covers_and_cuts_the_centre() -> None:
    wide = torch.zeros(1, 32, 96, 3)
    wide[:, :, 32:64] = 1
    made = plan(image=wide, width=32, height=32)
    assert made.picture_HWC.shape == (32, 32, 3)
    assert made.picture_HWC.min() > 0.9, "the outer thirds are cut off"


@pytest.mark.parametrize("size", [{"width": 48, "height": 64}, {"width": 64, "height": 32}])
def test_a_video_that_is_too_small_for_its_format_is_refused(size: dict[str, int]) -> None:
    small: dict[str, Any] = {"format": MP4_HEVC10.name, **size}
    with pytest.raises(InputError, match=r"format: mp4 10-bit \(hevc\) is written from 64 pixels a side on"):
        plan(**small)
    plan(**small, output="latent")
    small |= {"width": 64, "height": 64}
    plan(**small)


def test_a_picture_of_the_video_s_size_is_left_as_it_is() -> None:
    assert torch.equal(plan(image=picture(32, 48), height=32, width=48).picture_HWC, picture(32, 48)[0])


def test_all_that_was_changed_is_said() -> None:
    several = picture(32, 32).repeat(2, 1, 1, 1)
    made = plan(image=several, width=40, height=33, window_frames=12, motion_frames=6, steps=20)
    assert made.notes == (
        "height 33 became 32: sides are multiples of 16",
        "width 40 became 32: sides are multiples of 16",
        "start_image holds 2 pictures; the first is used",
        "window_frames 12 became 9: frames come as 4n+1",
        "motion_frames 6 became 5: frames come as 4n+1",
        "scheduler multitalk always runs its 4 timesteps (1000, 750, 500, 250); steps=20 is not used",
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 0}, "width: 0 pixels"),
        ({"window_frames": 9, "motion_frames": 9}, "motion_frames: 9 frames, expected fewer"),
        ({"shift": 0.0}, "shift: 0"),
        ({"scheduler": "simple", "steps": 0}, "steps: 0"),
        ({"text_scale": 5.0}, r"negative: nothing is connected, but text_scale 5 .*set text_scale to 1"),
        ({"text_scale": -1.0}, "text_scale is -1; give 0 or more"),
        ({"audio_scale": float("nan")}, "audio_scale is nan"),
        (
            {"video_frames": 10, "output": "latent"},
            r"output: 'latent' holds one window, but 10 frames take 2",
        ),
        ({"image": torch.zeros(1, 0, 64, 3)}, "start_image: .*has no pixels"),
        ({"image": torch.zeros(1, 0, 64, 3), "size": "480p"}, "start_image: .*has no pixels"),
        ({"image": "portrait"}, "start_image: str, expected an IMAGE"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(**changed)


def test_text_scale_other_than_one_is_fine_with_a_negative_prompt() -> None:
    assert plan(has_negative=True, text_scale=5.0).guidance.text_scale == 5


def test_latent_output_of_one_window_is_fine() -> None:
    assert len(plan(9, output="latent").windows) == 1


def test_what_is_no_encoded_speech_is_refused() -> None:
    from evertalk_pack.nodes.host.run.plan import PlanInputs, plan_run
    from evertalk_pack.nodes.host.run.request import SamplerWidgets

    asked = SamplerWidgets.of(widgets())
    with pytest.raises(InputError, match=r"audio_embeds: dict, expected .*Connect EverTalk Audio Embeds"):
        plan_run(PlanInputs(asked, {}, picture()))


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "  ",
        "..",
        "../talk",
        "EverTalk/../../talk",
        "EverTalk/../talk",
        "/tmp/talk",
        "..\\talk",
        "\\\\server\\talk",
        "C:/talk",
        "C:\\talk",
        "talk\0",
    ],
)
def test_a_file_name_that_leads_out_of_the_output_folder_is_refused(prefix: str) -> None:
    with pytest.raises(InputError, match=r"filename_prefix: .* like EverTalk/talk"):
        plan(filename_prefix=prefix)


def test_a_link_in_the_output_folder_that_leads_out_of_it_is_not_followed(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import folder_paths
    from evertalk_pack.nodes.host.run.video_file import run_place

    output, outside = tmp_path / "output", tmp_path / "outside"
    output.mkdir()
    outside.mkdir()
    (output / "link").symlink_to(outside, target_is_directory=True)
    monkeypatch.setattr(folder_paths, "output_directory", str(output))
    with pytest.raises(InputError, match=r"filename_prefix: 'link/talk' leads through a link to .*outside"):
        run_place("link/talk", 32, 32)
    assert run_place("sub/talk", 32, 32).final.folder == output / "sub"


def test_a_run_is_found_again_tomorrow_though_its_prefix_holds_the_date(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import folder_paths
    from evertalk_pack.nodes.host.run.video_file import run_place

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    place = run_place("%year%-%month%/talk_%width%_%day%", 64, 32)
    assert (place.run.folder, place.run.name) == (tmp_path, "talk_64")
    assert re.fullmatch(r"\d{4}-\d\d", place.final.folder.name)
    assert re.fullmatch(r"talk_64_\d\d", place.final.name)
    assert run_place("%year%%month%", 64, 32).run.name == "run"
    assert list(tmp_path.iterdir()) == [], "nothing is made"


def test_a_run_s_folder_is_the_same_whatever_the_widgets_hold_that_its_prefix_names(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import folder_paths
    from evertalk_pack.nodes.host.run.video_file import run_place

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    prefix = "%date:yyyy-MM-dd%\\talk_%EverTalkSampler.pause_after%"

    def two(_node: str, _widget: str) -> str:
        return "2"

    def three(_node: str, _widget: str) -> str:
        return "3"

    places = [run_place(prefix, 64, 32, widget) for widget in (two, three)]
    assert [place.final.name for place in places] == ["talk_2", "talk_3"]
    assert places[0].run == places[1].run == checked_prefix("talk", tmp_path)


def test_spaces_that_are_left_out_of_a_name_and_a_backslash() -> None:
    made = plan(filename_prefix="EverTalk \\ talk", scheduler="simple")
    assert made.notes == ("filename_prefix: the spaces around a name in 'EverTalk \\\\ talk' are left out",)
    assert plan(filename_prefix="EverTalk\\talk", scheduler="simple").notes == ()


@pytest.mark.parametrize(
    "prefix", ["%date:yyyy-MM-dd%/talk", "%Any node.widget%/talk", "100% talk", "%width%"]
)
def test_tokens_are_looked_at_before_the_workflow_is_known(prefix: str) -> None:
    assert plan(filename_prefix=prefix, scheduler="simple").notes == ()


@pytest.mark.parametrize("prefix", ["%datum%/talk", "%date:YYYY%/talk", "50% or 60% talk"])
def test_tokens_that_are_unknown_are_refused(prefix: str) -> None:
    with pytest.raises(InputError, match=r"^filename_prefix: %.*Known are %date:yyyy-MM-dd%"):
        plan(filename_prefix=prefix)
    assert plan(filename_prefix=prefix, output="latent"), "nothing is written then"


def lazy(**changed: Any) -> list[str]:
    from evertalk_pack.nodes.sampler import EverTalkSampler

    sockets = {"model": None, "positive": None, "vae": None, "start_image": picture(), "audio_embeds": None}
    return EverTalkSampler.check_lazy_status(**(sockets | widgets() | changed))


def test_the_speech_is_asked_for_first_and_the_weights_after_it_was_found_good() -> None:
    assert lazy() == ["audio_embeds"]
    assert lazy(audio_embeds=unheard(9)) == ["model", "positive", "vae"]
    connected = lazy(audio_embeds=unheard(9), negative=None, clip_vision_output=None)
    assert connected == ["model", "positive", "vae", "negative", "clip_vision_output"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start_image": torch.zeros(1, 0, 0, 3)}, "start_image: .*has no pixels"),
        ({"motion_frames": 9}, "motion_frames: 9 frames, expected fewer"),
        ({"filename_prefix": "/talk"}, "filename_prefix: '/talk' leads out"),
    ],
)
def test_bad_settings_are_refused_before_the_speech_is_encoded(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lazy(**changed)


def test_window_seeds_reach_the_plan_and_are_checked_against_it() -> None:
    assert plan(17, window_seeds="2: 7").window_seeds.seeds == ((1, 7),)
    with pytest.raises(InputError, match="window_seeds: window 4, but the run has 3"):
        plan(17, window_seeds="4: 7")


def test_window_seeds_that_cannot_be_read_are_refused_before_the_speech_is_encoded() -> None:
    from evertalk_pack.nodes.host.run.request import SamplerWidgets, checked_settings

    with pytest.raises(InputError, match="window_seeds: 'x' is not a window and seed"):
        checked_settings(SamplerWidgets.of(widgets(window_seeds="x")), picture(), has_negative=False)


def test_more_windows_than_a_run_may_have_are_refused_before_weights_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from evertalk_pack.multitalk.runs import manifest

    monkeypatch.setattr(manifest, "MAX_WINDOWS", 2)
    assert len(plan(13).windows) == 2
    with pytest.raises(InputError, match="3 windows, expected 2 at most"):
        plan(17)
