"""The chart of a finished run on its node, and the same one as a file where Decode is asked for it."""

import re

import pytest
from comfy_server import ComfyServer
from editor_page import Editor
from editors import NEWEST_NODES, OWN, Drawing, each_editor

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

SOUND = "speech_2.3.wav"
"""5 windows of 17 frames."""

ASK_JS = """() => {
  const decode = window.app.graph.nodes.find((node) => node.type === 'EverTalkDecode')
  decode.widgets.find((widget) => widget.name === 'chart').value = true
}"""
CHART_JS = """() => {
  const chart = document.querySelector('.evertalk-chart svg')
  return {
    label: chart.getAttribute('aria-label'),
    bars: [...chart.querySelectorAll('g title')].map((title) => title.textContent),
    height: chart.getBoundingClientRect().height,
  }
}"""


@each_editor(OWN, NEWEST_NODES)
def test_finished_run_shows_its_figures_and_decode_writes_the_same(
    editor: Editor, server: ComfyServer, drawing: Drawing
) -> None:
    editor.load_demo(SOUND, filename_prefix=f"chart/{drawing.name}")
    editor.page.evaluate(ASK_JS)
    editor.queue()
    editor.wait_for_status("5 of 5 windows done")
    chart = editor.page.evaluate(CHART_JS)
    assert chart["label"].startswith("5 windows: colour drift at most ")
    assert [bar.split(",")[0] for bar in chart["bars"]] == [
        *(f"Window {number}" for number in range(1, 6)),
        *(f"Window {number}" for number in range(2, 6)),  # the first has nothing to be joined to
    ]
    assert chart["height"] > 50, "nothing cuts it off"
    editor.wait_until_idle()
    (written,) = (server.output / "chart").glob(f"{drawing.name}_*_chart.svg")
    assert re.findall("<title>(.*)</title>", written.read_text()) == [chart["label"], *chart["bars"]]
    assert (server.output / "chart" / f"{written.stem.removesuffix('_chart')}.mp4").is_file()
