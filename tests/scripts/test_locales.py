"""Everything that EverTalk says exists in English and in Chinese, and the host serves both."""

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from chinese import LOCALES, Catalogue, english_of, read_chinese
from comfy_server import ComfyServer
from make_locales import escaped, locale_files, out_of_date, own_nodes, taken_over, words_of
from message_templates import Template, find_templates

SPEECH = LOCALES.parent / "demo" / "media" / "speech.flac"
HOLE = re.compile(r"\{\d+\}")
CHINESE_LETTER = re.compile(r"[\u4e00-\u9fff]")
SAME_IN_CHINESE = {"lora", "clip", "vae"}
"""Names that Chinese users know as they are."""

Nodes = dict[str, Any]


def read(name: str) -> dict[str, Any]:
    return json.loads((LOCALES / name).read_text(encoding="utf-8"))


def keys_of(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from keys_of(below, f"{path}/{key}")
    else:
        yield path


@pytest.fixture(scope="module")
def nodes(comfy_server: ComfyServer) -> Nodes:
    """As a server with files in its input folder describes them: their names are among the choices."""
    comfy_server.client.upload(SPEECH, "a file of the user.flac")
    return own_nodes(comfy_server.client.object_info())


@pytest.mark.parametrize("name", ["main.json", "nodeDefs.json"])
def test_both_languages_have_the_same_keys(name: str) -> None:
    assert list(keys_of(read(f"en/{name}"))) == list(keys_of(read(f"zh/{name}")))


def test_every_message_of_the_source_has_chinese_and_none_is_stale() -> None:
    words, messages = words_of({}, find_templates()), read_chinese().messages
    assert [text for text in words.needed["messages"] if text not in messages] == []
    assert [text for text in messages if text not in words.allowed["messages"]] == []


def test_chinese_messages_keep_what_varies() -> None:
    torn = {
        english: chinese
        for english, chinese in read_chinese().messages.items()
        if set(HOLE.findall(english)) != set(HOLE.findall(chinese))
    }
    assert torn == {}


def test_chinese_is_chinese() -> None:
    chinese = read_chinese()
    for section in (chinese.names, chinese.options, chinese.texts, chinese.notes, chinese.messages):
        english = [text for text, said in section.items() if not CHINESE_LETTER.search(said)]
        assert set(english) <= SAME_IN_CHINESE


@pytest.mark.host
def test_every_word_of_the_nodes_has_chinese_and_none_is_stale(nodes: Nodes) -> None:
    chinese, words = read_chinese(), words_of(nodes, find_templates())
    assert (words.missing(chinese), words.stale(chinese)) == ([], []), "mend locales/chinese.json"


@pytest.mark.host
def test_files_are_what_the_nodes_and_the_catalogue_give(nodes: Nodes) -> None:
    assert list(out_of_date(locale_files(nodes, read_chinese()))) == [], "make locales"


@pytest.mark.host
def test_server_offers_both_languages_to_the_editor(comfy_server: ComfyServer) -> None:
    with urllib.request.urlopen(f"{comfy_server.client.address}/i18n") as answer:
        offered = json.load(answer)
    for code in ("en", "zh"):
        assert offered[code]["nodeDefs"] == read(f"{code}/nodeDefs.json")
        assert offered[code]["evertalk"] == read(f"{code}/main.json")["evertalk"]


def small_node(tooltip: str = "How much.") -> Nodes:
    inputs = {"strength": ["FLOAT", {"tooltip": tooltip}], "file": ["COMBO", {"options": ["a.safetensors"]}]}
    inputs["file"][1]["tooltip"] = "Which file."  # type: ignore[index]
    return {
        "EverTalkOne": {
            "display_name": "One",
            "description": "Does one thing.",
            "input": {"required": inputs},
            "output": ["MODEL"],
            "output_name": ["MODEL"],
            "output_tooltips": [None],
        }
    }


CATALOGUE = Catalogue(
    names={"One": "\u4e00", "strength": "\u5f3a\u5ea6", "file": "\u6587\u4ef6"},
    options={},
    texts={
        "Does one thing.": "\u505a\u4e00\u4ef6\u4e8b\u3002",
        "How much.": "\u591a\u5c11\u3002",
        "Which file.": "\u54ea\u4e2a\u6587\u4ef6\u3002",
    },
    notes=read_chinese().notes,
    messages={"the run goes on": "\u7ee7\u7eed\u8fd0\u884c"},
)
RUNS_ON = Template("the run goes on", "one.py:1", is_shown=True)


def test_complete_catalogue_lacks_nothing_and_holds_nothing_in_vain() -> None:
    words = words_of(small_node(), [RUNS_ON])
    assert words.missing(CATALOGUE) == []
    assert words.stale(CATALOGUE) == []


def test_changed_english_is_missing_and_its_old_chinese_is_stale() -> None:
    words = words_of(small_node("How strongly."), [RUNS_ON])
    assert words.missing(CATALOGUE) == ["texts: no Chinese for 'How strongly.'"]
    assert words.stale(CATALOGUE) == ["texts: nothing says 'How much.' any more"]


def test_piece_of_a_sentence_may_have_chinese_or_none() -> None:
    piece = Template("the run goes on", "one.py:1", is_shown=False)
    assert words_of(small_node(), [piece]).stale(CATALOGUE) == []
    assert words_of(small_node(), [RUNS_ON]).needed["messages"] == ["the run goes on"]
    assert words_of(small_node(), [piece]).needed["messages"] == []


def test_taking_over_fills_what_is_missing_and_drops_what_is_stale() -> None:
    words = words_of(small_node("How strongly."), [RUNS_ON])
    more = {"texts": {"How strongly.": "\u591a\u5f3a\u3002", "Of no node.": "\u65e0\u3002"}}
    taken = taken_over(words, CATALOGUE, more)
    assert (words.missing(taken), words.stale(taken)) == ([], [])
    assert taken.texts["How strongly."] == "\u591a\u5f3a\u3002"
    assert "Of no node." not in taken.texts


def test_chinese_tooltip_ends_in_the_name_that_messages_use() -> None:
    files = locale_files(small_node(), CATALOGUE)
    chinese, english = json.loads(files["zh/nodeDefs.json"]), json.loads(files["en/nodeDefs.json"])
    assert chinese["EverTalkOne"]["inputs"]["strength"] == {
        "name": "\u5f3a\u5ea6",
        "tooltip": "\u591a\u5c11\u3002 [strength]",
    }
    assert english["EverTalkOne"]["inputs"]["strength"] == {"name": "strength", "tooltip": "How much."}


def test_users_files_are_no_words() -> None:
    assert (
        "options"
        not in json.loads(locale_files(small_node(), CATALOGUE)["en/nodeDefs.json"])["EverTalkOne"]["inputs"][
            "file"
        ]
    )


def test_characters_of_the_message_format_are_made_harmless() -> None:
    assert escaped("{a} | b@c") == "{'{'}a{'}'} {'|'} b{'@'}c"


def test_english_of_a_catalogue_is_itself() -> None:
    assert english_of(CATALOGUE).names == {"One": "One", "strength": "strength", "file": "file"}
