"""What web/words.js makes of English sentences, with the Chinese catalogue, run in Node.js."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chinese import read_chinese

NODE = shutil.which("node")
WORDS = Path(__file__).resolve().parents[2] / "web" / "words.js"
SCRIPT = """
import { readFileSync } from 'node:fs'
const source = readFileSync(process.argv[1], 'utf8')
const words = await import('data:text/javascript,' + encodeURIComponent(source))
const { messages, names, texts } = JSON.parse(readFileSync(0, 'utf8'))
const translate = words.makeTranslator(messages, names)
const both = texts.map((text) => words.inBothLanguages(text, translate))
console.log(JSON.stringify({ said: texts.map(translate), both }))
"""


@dataclass(frozen=True)
class Answer:
    """For each sentence its Chinese, or None; and what is shown where both languages are."""

    said: list[str | None]
    both: list[str]


def translate(texts: list[str], names: dict[str, str]) -> Answer:
    """Translate sentences; `names` are those of sockets and widgets."""
    assert NODE
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", SCRIPT, str(WORDS)],
        input=json.dumps({"messages": read_chinese().messages, "names": names, "texts": texts}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return Answer(**json.loads(done.stdout))
