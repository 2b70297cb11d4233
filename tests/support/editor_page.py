"""ComfyUI's editor in a real browser, as a user of the sampler node sees it."""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from browser import find_browser
from comfy_client import ComfyClient
from editor_reports import DIALOG
from kill_runs import SMALL
from needed import refuse
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright
from settle import settle

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "workflows" / "demo_tiny.json"
SHOTS = os.environ.get("EVERTALK_SHOTS")
"""Where pictures of the states are put; nowhere if it is not set."""

QUIET = {
    "Comfy.TutorialCompleted": True,  # else the template browser opens on top
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
    "Comfy.Workflow.Persist": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,  # no model of that size is there
    "Comfy.ErrorSystem.ShowMissingModels": False,  # the same, in later frontends
    "Comfy.RightSidePanel.IsOpen": False,
    "Comfy.Locale": "en",
    "LiteGraph.Canvas.MaximumFps": 10,  # drawing took more of the machine than sampling
}
NODE_ELEMENTS = "Comfy.VueNodes.Enabled"
VIEW = {"width": 1280, "height": 1300}
NODE_AT = (420, 150)
"""Where on the screen the sampler is put: beside the editor's bars."""

COLOURS = 64
POLL_MS = 50
"""How often a condition is looked at; each frame, which is Playwright's way, keeps the page drawing."""

WAIT_MS = 240_000
"""For what a busy machine takes its time for: to load models, to make a window."""

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

HOST_ERRORS = (
    "api.comfy.org",  # asks for news of itself and of packs
    "/userdata",  # of a user who has saved nothing yet
    "user.css",
    "favicon.ico",
    "vue.esm-browser.prod.js: TypeError: Cannot read properties of undefined (reading 'id')",
    "/api/jobs",  # a route that ComfyUI 0.3.75 has not, and the newest frontend asks for
    "JobsApiError",
    "https://huggingface.co/",  # how large a missing model is
    "node_replacements",
    "/templates/index_logo.json",
)
"""What the bare host's editor logs as errors at its start and when a graph is loaded."""

IS_OPEN = "window.app?.graph && window.LiteGraph?.registered_node_types?.EverTalkSampler"
SAMPLER_JS = "window.app.graph.nodes.find((node) => node.type === 'EverTalkSampler')"
SHOW_JS = """([kind, x, y]) => {
  const node = window.app.graph.nodes.find((one) => one.type === kind), { ds } = window.app.canvas
  ds.scale = 1
  ds.offset = [x - node.pos[0], y - node.pos[1]]
  window.app.canvas.deselectAll?.()
  window.app.canvas.setDirty(true, true)
}"""
SET_JS = """(values) => {
  for (const [name, value] of Object.entries(values)) {
    const widget = SAMPLER.widgets.find((one) => one.name === name)
    widget.value = value
    widget.callback?.(value)
    widget.value = value // the callback may have rounded it; a saved workflow's value is not
  }
}""".replace("SAMPLER", SAMPLER_JS)
SOUND_JS = """(sound) => {
  window.app.graph.nodes.find((node) => node.type === 'LoadAudio').widgets[0].value = sound
}"""
WIDGET_JS = """(name) => {
  const { value, label, disabled } = SAMPLER.widgets.find((one) => one.name === name)
  return { value, label: label ?? name, disabled: Boolean(disabled) }
}""".replace("SAMPLER", SAMPLER_JS)
STRIP_JS = """() => {
  const strip = document.querySelector('.evertalk-strip')
  const words = (name) => strip.querySelector(name)?.textContent ?? ''
  return {
    estimate: words('.evertalk-estimate'),
    is_problem: strip.querySelector('.evertalk-estimate').classList.contains('evertalk-problem'),
    status: words('.evertalk-status'),
    cells: [...strip.querySelectorAll('.evertalk-cell')].map((cell) => cell.dataset.state),
    badges: [...strip.querySelectorAll('.evertalk-badge')].map((badge) => badge.title),
    buttons: [...strip.querySelectorAll('button:not(.evertalk-cell)')].filter((one) => !one.hidden)
      .map((one) => one.textContent),
    video: strip.querySelector('video').hidden ? '' : strip.querySelector('video').src,
    played_s: strip.querySelector('video').currentTime,
  }
}"""
MISSING_JS = """() => window.app.graph.nodes
  .filter((node) => !(node.type in window.LiteGraph.registered_node_types))
  .map((node) => node.type)"""


@contextmanager
def open_browser() -> Generator[Browser]:
    """A headless browser; without one the test is skipped, and fails where CI is set."""
    executable = find_browser()
    if executable is None:
        refuse("there is no Chromium: scripts/browser.py, which make test calls, says why")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Strip:
    """What the strip on the sampler shows."""

    estimate: str
    is_problem: bool
    status: str
    cells: list[str]
    badges: list[str]
    buttons: list[str]
    video: str
    played_s: float


@dataclass
class Editor:
    """A page with the editor, and what it logged as errors."""

    page: Page
    client: ComfyClient
    errors: list[str] = field(default_factory=list[str])
    takes_shots: bool = True

    @classmethod
    def open(
        cls,
        browser: Browser,
        client: ComfyClient,
        *,
        has_node_elements: bool = False,
        takes_shots: bool = True,
    ) -> "Editor":
        """Open the editor and wait until it knows the sampler.

        Args:
            browser: to open it in.
            client: of the server.
            has_node_elements: draw nodes as elements of the page, not on the canvas.
            takes_shots: whether this is the editor that pictures are taken of.
        """
        client.save_settings(QUIET | {NODE_ELEMENTS: has_node_elements})
        page = browser.new_page(viewport={"width": VIEW["width"], "height": VIEW["height"]})
        page.set_default_timeout(WAIT_MS)
        editor = cls(page, client, takes_shots=takes_shots)
        page.on("console", editor._note)
        page.on("pageerror", editor._note_crash)
        page.goto(client.address)
        editor.wait(IS_OPEN)
        return editor

    def _note(self, message: ConsoleMessage) -> None:
        line = f"{message.location.get('url', '')}: {message.text}"
        if message.type == "error" and not any(known in line for known in HOST_ERRORS):
            self.errors.append(line)

    def _note_crash(self, error: Error) -> None:
        self.errors.append(str(error))

    def load(self, workflow: dict[str, Any], **widgets: Any) -> None:
        """Put a workflow into the editor, its sampler in view, and set widgets of the sampler."""
        self.page.evaluate("(graph) => window.app.loadGraphData(graph, true, true, null)", workflow)
        if widgets:
            self.set(**widgets)
            self.show()

    def load_demo(self, sound: str, **widgets: Any) -> None:
        """The demo's workflow with another sound, as small as can be."""
        workflow: dict[str, Any] = json.loads(DEMO.read_text())
        for node in workflow["nodes"]:
            if node["type"] == "LoadAudio":
                node["widgets_values"][0] = sound
        self.load(workflow, **SMALL | widgets)

    def open_template(self, name: str) -> None:
        """Choose one of our templates in the template browser."""
        self.page.evaluate("() => { window.app.extensionManager.command.execute('Comfy.BrowseTemplates') }")
        self.page.get_by_text("EverTalk", exact=True).click()
        self.page.get_by_text(name, exact=True).click()
        self.page.locator(DIALOG).wait_for(state="detached")

    def warn(self, kind: str, sentence: str) -> None:
        """Tell the editor of a warning of a node, as the server does."""
        self.page.evaluate(
            """([kind, text]) => {
              const node = String(window.app.graph.nodes.find((one) => one.type === kind).id)
              const event = { node, prompt_id: 'p', kind: 'warning', text }
              window.comfyAPI.api.api.dispatchCustomEvent('evertalk', event)
            }""",
            [kind, sentence],
        )

    def begin(self) -> None:
        """Put away what the tests of another file have left: a run, a graph, a dialog, errors."""
        settle(self.client)
        self.page.keyboard.press("Escape")
        self.clear()
        self.errors.clear()

    def clear(self) -> None:
        """Empty the graph, and put away what the host has shown on top of the page."""
        self.page.evaluate("() => { app.graph.clear(); app.extensionManager.toast.removeAll?.() }")

    def show(self, kind: str = "EverTalkSampler") -> None:
        """Bring a node into view, full size; the editor hides what is on others."""
        self.page.evaluate(SHOW_JS, [kind, *NODE_AT])

    def set(self, **widgets: Any) -> None:
        """Set widgets of the sampler, as a user would."""
        self.page.evaluate(SET_JS, widgets)

    def choose_sound(self, file: str) -> None:
        """Choose a file of the server's input folder in Load Audio."""
        self.page.evaluate(SOUND_JS, file)

    def widget(self, name: str) -> dict[str, Any]:
        """Value, label and greyness of a widget of the sampler."""
        return self.page.evaluate(WIDGET_JS, name)

    def strip(self) -> Strip:
        """What the strip shows now."""
        return Strip(**self.page.evaluate(STRIP_JS))

    def missing_nodes(self) -> list[str]:
        """Types of nodes that the editor does not know; it marks those too whose model file is not there."""
        return self.page.evaluate(MISSING_JS)

    def node_types(self) -> list[str]:
        """Types of all nodes, sorted."""
        return self.page.evaluate("() => window.app.graph.nodes.map((node) => node.type).sort()")

    def queue(self) -> None:
        """Press Run."""
        self.page.evaluate("() => app.extensionManager.toast.removeAll?.()")
        self.page.get_by_test_id("queue-button").click()

    def press(self, words: str) -> None:
        """Press a button of the strip, at once: the mouse would wait until the strip stands still."""
        button = self.page.locator(".evertalk-buttons button", has_text=words)
        button.wait_for(state="visible")
        button.evaluate("(button) => button.click()")

    def choose_window(self, number: int) -> None:
        """Press the cell of a window, counted from 1."""
        self.page.locator(".evertalk-cell").nth(number - 1).click()

    def wait(self, condition: str, timeout_ms: int = WAIT_MS) -> None:
        """Wait until a condition in JavaScript holds."""
        self.page.wait_for_function(f"() => {condition}", timeout=timeout_ms, polling=POLL_MS)

    def wait_until_idle(self) -> None:
        """Wait until the server has nothing to do."""
        queue = "fetch('/api/queue').then((answer) => answer.json())"
        self.wait(f"{queue}.then((queue) => !queue.queue_running.length && !queue.queue_pending.length)")

    def wait_for_status(self, words: str) -> None:
        """Wait until the strip says something."""
        self.wait(f"document.querySelector('.evertalk-status')?.textContent.includes({json.dumps(words)})")

    def wait_for_estimate(self, words: str) -> None:
        """Wait until the strip says something of the run to come."""
        self.wait(f"document.querySelector('.evertalk-estimate')?.textContent.includes({json.dumps(words)})")

    def wait_for_done(self, count: int) -> None:
        """Wait until so many windows are done."""
        self.wait(f"document.querySelectorAll('.evertalk-cell[data-state=done]').length >= {count}")

    def shoot(self, name: str) -> None:
        """Take a picture of the sampler, where pictures are wanted."""
        if SHOTS is None or not self.takes_shots:
            return
        self.show()
        if self.strip().video:
            self.wait("document.querySelector('.evertalk-video').currentTime > 0")
        self.page.wait_for_timeout(400)
        width, height = self.page.evaluate(f"() => [...{SAMPLER_JS}.size]")
        left, top = NODE_AT[0] - 12, NODE_AT[1] - 44
        clip = {"x": left, "y": top, "width": width + 24, "height": min(height + 60, VIEW["height"] - top)}
        path = Path(SHOTS) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, clip=clip)  # pyright: ignore[reportArgumentType]
        Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
