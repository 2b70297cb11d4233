"""The one browser, and the one page with the editor, that the files of web/ share one after another.

They are closed when the tests leave web/: while Playwright runs, its event loop is this thread's, and a test
of another folder could not run one.
"""

from contextlib import ExitStack

from comfy_client import ComfyClient
from editor_page import Editor, open_browser
from editors import Drawing
from playwright.sync_api import Browser


class SharedBrowser:
    """Opens a browser and an editor when they are first asked for, and keeps them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._browser: Browser | None = None
        self._editor: Editor | None = None
        self._shown: tuple[str, Drawing] | None = None

    def browser(self) -> Browser:
        """The browser; another one if it is gone. Skips as `open_browser` does."""
        if self._browser is None or not self._browser.is_connected():
            self.close()
            self._browser = self._stack.enter_context(open_browser())
        return self._browser

    def editor(self, client: ComfyClient, drawing: Drawing) -> Editor:
        """The editor of a server, drawn in one way: empty, and with no error noted."""
        browser = self.browser()
        if self._editor is None or self._shown != (client.address, drawing) or self._editor.page.is_closed():
            if self._editor is not None:
                self._editor.page.close()
            self._editor = None
            self._editor = Editor.open(
                browser,
                client,
                has_node_elements=drawing.has_node_elements,
                takes_shots=not drawing.is_newest,
            )
            self._shown = (client.address, drawing)
        self._editor.begin()
        return self._editor

    def close(self) -> None:
        """Close both, if they are open."""
        self._editor = self._browser = self._shown = None
        stack, self._stack = self._stack, ExitStack()
        stack.close()
