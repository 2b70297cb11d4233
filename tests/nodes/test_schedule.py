"""The schedule node, with a tiny text encoder of the host's own class."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.windows.plan import plan_windows
from evertalk_pack.multitalk.windows.prompt_timeline import Keyframe, PromptTimeline, cue_at

pytestmark = pytest.mark.host


def result_of(output: Any) -> Any:
    (value,) = output.result
    return value


TINY_CLIP = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
PICTURES = torch.stack([torch.full((8, 8, 3), level) for level in (0.0, 0.5, 1.0)])


class CountingClip:
    """A tiny CLIP of the host that counts what it encodes."""

    def __init__(self, clip: Any) -> None:
        self.clip = clip
        self.texts: list[str] = []

    def tokenize(self, text: str) -> Any:
        self.texts.append(text)
        return self.clip.tokenize(text)

    def encode_from_tokens_scheduled(self, tokens: Any) -> Any:
        return self.clip.encode_from_tokens_scheduled(tokens)


@pytest.fixture(scope="module")
def tiny_clip(comfyui: Path) -> Any:
    del comfyui
    from comfy.sd import CLIP
    from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer

    target = SimpleNamespace(params={}, clip=SD1ClipModel, tokenizer=SD1Tokenizer)
    clip = CLIP(target, model_options={"clip_l_model_config": TINY_CLIP})
    generator = torch.Generator().manual_seed(6)
    for parameter in clip.cond_stage_model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return clip


def execute(prompts: str = "", picture_times: str = "", **inputs: Any) -> PromptTimeline:
    from evertalk_pack.nodes.schedule import EverTalkSchedule

    return result_of(EverTalkSchedule.execute(prompts, picture_times, **inputs))


def test_each_prompt_is_encoded_as_the_hosts_own_node_does_and_once(tiny_clip: Any) -> None:
    clip = CountingClip(tiny_clip)
    schedule = execute("0s: a man; 3s: a woman; 6s: a man", clip=clip)
    assert [cue.start_s for cue in schedule.prompts] == [0, 3, 6]
    assert clip.texts == ["a man", "a woman"]
    for cue, text in zip(schedule.prompts, ("a man", "a woman", "a man"), strict=True):
        expected = tiny_clip.encode_from_tokens_scheduled(tiny_clip.tokenize(text))
        assert torch.equal(cue.value[0][0], expected[0][0])
    assert not torch.equal(schedule.prompts[0].value[0][0], schedule.prompts[1].value[0][0])


def kept_prompts(clip: Any, *texts: str) -> int:
    """Of how many texts the encoding was kept from before."""
    from evertalk_pack.nodes.host.report.record import recording
    from evertalk_pack.nodes.host.sampling.schedule import encoded_prompt

    kept = 0
    for text in texts:
        with recording() as record:
            encoded_prompt(clip, text)
        kept += record.kept == ["a schedule's prompt"]
    return kept


def test_a_prompt_that_stays_is_not_encoded_again_when_another_changes(tiny_clip: Any) -> None:
    execute("0s: a tree; 3s: a lake", clip=tiny_clip)
    assert kept_prompts(tiny_clip, "a tree", "a lake") == 2
    schedule = execute("0s: a tree; 3s: a hill", clip=tiny_clip)
    for cue, text in zip(schedule.prompts, ("a tree", "a hill"), strict=True):
        ((expected, others),) = tiny_clip.encode_from_tokens_scheduled(tiny_clip.tokenize(text))
        ((found, found_others),) = cue.value
        assert torch.equal(found, expected)
        assert found_others.keys() == others.keys()
        assert torch.equal(found_others["pooled_output"], others["pooled_output"])


def test_a_text_encoder_that_was_changed_encodes_again(tiny_clip: Any) -> None:
    text = "a cloud"
    other_layer, patched = tiny_clip.clone(), tiny_clip.clone()
    other_layer.clip_layer(-1)
    weight = "clip_l.transformer.text_model.final_layer_norm.weight"
    patched.add_patches({weight: ("diff", (torch.ones(TINY_CLIP["hidden_size"]),))})
    assert [kept_prompts(clip, text, text) for clip in (tiny_clip, other_layer, patched)] == [1, 1, 0]
    with_hooks = tiny_clip.clone()
    with_hooks.apply_hooks_to_conds = object()
    assert kept_prompts(with_hooks, text) == 0


def test_windows_take_the_prompt_that_holds_at_their_first_new_frame() -> None:
    from evertalk_pack.nodes.host.sampling.schedule import prompts_of

    schedule = PromptTimeline(prompts=(Keyframe(0.0, ["a"]), Keyframe(4.0, ["b"])))
    windows = plan_windows(250, 81, 9)
    prompt = prompts_of(None, schedule)
    assert [prompt(window) for window in windows] == [["a"], ["a"], ["b"], ["b"]]
    for without in (None, PromptTimeline()):
        own = prompts_of(["own"], without)
        assert [own(window) for window in windows] == [["own"]] * 4


def test_pictures_are_taken_by_number_and_time() -> None:
    schedule = execute(picture_times="0s: 2; 4s: 1; 8s: 3", pictures=PICTURES)
    levels = [float(cue_at(schedule.pictures, time_s).value.mean()) for time_s in (0, 3.9, 4, 9)]
    assert levels == [0.5, 0.5, 0.0, 1.0]


def test_text_encoder_is_asked_for_only_where_there_are_prompts() -> None:
    from evertalk_pack.nodes.schedule import EverTalkSchedule

    assert EverTalkSchedule.check_lazy_status("0s: a", "", clip=None) == ["clip"]
    assert EverTalkSchedule.check_lazy_status(" ", "0s: 1", clip=None, pictures=PICTURES) == []
    assert EverTalkSchedule.check_lazy_status("0s: a", "") == []


def test_wrong_syntax_is_pointed_at_before_anything_runs() -> None:
    from evertalk_pack.nodes.schedule import EverTalkSchedule

    answer = EverTalkSchedule.validate_inputs("0s: a; soon: b", "")
    assert "prompts: expected a time such as 12.5s or 0:12.5 (character 8)" in str(answer)
    answer = EverTalkSchedule.validate_inputs("", "0s: one")
    assert "picture_times: 'one' is not a picture" in str(answer)
    assert EverTalkSchedule.validate_inputs("0s: a", "0s: 1; 4s: 2") is True


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"prompts": "0s: a; 2s: b"}, r"clip: nothing is connected, but prompts has 2"),
        ({"picture_times": "0s: 1"}, r"picture_times: '0s: 1', but no pictures are connected"),
        ({"pictures": PICTURES}, r"picture_times: empty, but 3 pictures are connected"),
        ({"picture_times": "0s: 4", "pictures": PICTURES}, r"picture_times: '4' is not a picture.*1 to 3"),
        ({"prompts": "a man", "clip": None}, r"prompts: expected a time"),
    ],
)
def test_what_does_not_fit_is_refused(inputs: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        execute(**inputs)


def test_wrong_picture_number_is_refused_before_the_text_encoder_is_asked_for() -> None:
    from evertalk_pack.nodes.schedule import EverTalkSchedule

    with pytest.raises(InputError, match="'4' is not a picture"):
        EverTalkSchedule.check_lazy_status("0s: a", "0s: 4", clip=None, pictures=PICTURES)


def test_the_picture_that_the_video_ends_on_is_handed_on(tiny_clip: Any) -> None:
    del tiny_clip
    end_BHWC = PICTURES[:1]
    assert execute(end_image=end_BHWC).end_BHWC is end_BHWC
    assert execute().end_BHWC is None


def test_an_end_image_that_is_no_picture_is_refused_before_anything_loads() -> None:
    from evertalk_pack.nodes.schedule import EverTalkSchedule

    with pytest.raises(InputError, match=r"end_image: .* holds NaN or infinite values"):
        EverTalkSchedule.check_lazy_status("", "", end_image=torch.full((1, 8, 8, 3), torch.nan))
    assert EverTalkSchedule.check_lazy_status("", "", end_image=PICTURES[:1]) == []
