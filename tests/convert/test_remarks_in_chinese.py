"""Whatever the converter says of a workflow is said in Chinese in the Chinese editor."""

import re
from typing import Any

import pytest
from convert_server import WORKFLOWS, read
from evertalk_pack.convert.conversion import convert
from spoken import NODE, translate

pytestmark = [pytest.mark.host, pytest.mark.skipif(NODE is None, reason="needs node")]

ENGLISH = re.compile(r"(?:\b[a-z]{2,}[,;]? ){3}")
"""Three words of a sentence in a row; names of nodes and settings are fewer."""


def test_every_remark_on_the_collection_is_said_in_chinese(object_info: dict[str, Any]) -> None:
    names = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
    texts = sorted({remark.text for name in names for remark in convert(read(name), object_info).remarks})
    assert texts
    said = dict(zip(texts, translate(texts, {}).said, strict=True))
    left = {text: chinese for text, chinese in said.items() if chinese is None or ENGLISH.search(chinese)}
    assert left == {}
