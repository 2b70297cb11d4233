"""Tokens of a prefix have the values that the host's editor and its own nodes give them."""

from datetime import datetime

import pytest
from evertalk_pack.multitalk.common.errors import InputError
from evertalk_pack.multitalk.common.name_tokens import (
    NoValueError,
    TokenValues,
    expanded,
    lasting,
    spaces_note,
)

MOMENT = datetime(2026, 3, 7, 18, 5, 9)


def widget(node: str, name: str) -> str:
    if (node, name) == ("My / node v1.5", "seed"):
        return "42"
    raise NoValueError(f"no {name} of {node}")


def later_widget(_node: str, _name: str) -> str:
    return "43"


VALUES = TokenValues(MOMENT, 832, 480, widget)


@pytest.mark.parametrize(
    ("template", "prefix"),
    [
        ("talk", "talk"),
        ("%date:yyyy-MM-dd%/talk", "2026-03-07/talk"),
        ("%date:yy M d h m s%", "26 3 7 18 5 9"),
        ("%date:yyyyMMdd_hhmmss%", "20260307_180509"),
        ("%date:yyyy/MM/dd%/talk", "2026/03/07/talk"),
        ("%date:yyyy.MM.dd%", "2026.03.07"),
        ("%date:yyyy\u5e74MM\u6708%", "2026\u5e7403\u6708"),
        ("%year%%month%%day%-%hour%%minute%%second%", "20260307-180509"),
        ("%width%x%height%", "832x480"),
        ("a_%My / node v1.5.seed%_b", "a_42_b"),
        ("100% talk", "100% talk"),
        ("a%%b", "a%%b"),
    ],
)
def test_tokens_are_replaced(template: str, prefix: str) -> None:
    assert expanded(template, VALUES) == prefix


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("%foo%", "%foo% is unknown"),
        ("%Year%", "%Year% is unknown"),
        ("%date%", "%date% is unknown"),
        ("%date:%", "%date:% is unknown"),
        ("50% and 60% talk", "% and 60% is unknown"),
        ("%.seed%", "%.seed% is unknown"),
        ("%node.%", "%node.% is unknown"),
        ("%date:YYYY-MM-DD%", "%date:YYYY-MM-DD% has no value: 'YYYY' is not a part of a date"),
        ("%date:yyy%", "%date:yyy% has no value: 'y' is not a part of a date"),
        ("%date:month%", "%date:month% has no value: 'onth' is not a part of a date"),
        ("%Loader.name%", "%Loader.name% has no value: no name of Loader"),
    ],
)
def test_what_stands_for_nothing_is_refused_with_what_is_known(template: str, reason: str) -> None:
    with pytest.raises(InputError) as refusal:
        expanded(template, VALUES)
    assert str(refusal.value).startswith(f"filename_prefix: {reason}")
    for token in ("%date:yyyy-MM-dd%", "%second%", "%width%", "%EverTalkSampler.seed%"):
        assert token in str(refusal.value)


def test_template_of_thousands_of_characters_is_refused() -> None:
    assert len(expanded("%height%" * 125, VALUES)) == 375
    with pytest.raises(InputError, match=r"^filename_prefix: 1001 characters, expected 1000 at most"):
        expanded("%height%" * 125 + "x", VALUES)


@pytest.mark.parametrize(
    ("template", "prefix"),
    [
        ("EverTalk/talk", "EverTalk/talk"),
        ("_talk-/x.", "_talk-/x."),
        ("%date:yyyy-MM-dd%/talk", "talk"),
        ("%date:yyyy/MM/dd%/clips/talk", "clips/talk"),
        ("%year%-%month%/talk_%width%_%day%", "talk_832"),
        ("a\\talk %My / node v1.5.seed% x", "a/talk x"),
        ("%date:hhmmss%_talk", "talk"),
        ("clips/%date:yyyy%%My / node v1.5.seed%", "clips/run"),
        (" a / talk ", "a/talk"),
        ("con_%year%", "run"),
        ("aux_%year%/talk", "talk"),
        ("nul_%width%", "nul_832"),
    ],
)
def test_run_folder_s_name_has_nothing_that_changes(template: str, prefix: str) -> None:
    later = TokenValues(datetime(2027, 12, 31, 23, 59, 58), 832, 480, later_widget)
    assert lasting(template, VALUES) == lasting(template, later) == prefix


def test_spaces_that_are_left_out_are_said() -> None:
    assert spaces_note("EverTalk / talk") == (
        "filename_prefix: the spaces around a name in 'EverTalk / talk' are left out",
    )
    assert spaces_note("a b/%My / node v1.5.seed% c") == ()
