"""A real browser for the tests of both pages: Debian's chromium and chromium-driver, say, driven by selenium."""

import base64
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DROP = """
const transfer = new DataTransfer();
for (const [name, type, data] of arguments[0]) {
  transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
}
document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""
PASTE = (
    DROP[: DROP.index("document.dispatchEvent")]
    + """
document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
"""
)


@contextmanager
def browser(downloads: Path, *arguments: str) -> Iterator["Page"]:
    """A headless browser that saves into `downloads`; skips the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra dev)")
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no browser: chromium and its driver are not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    quiet = ["--headless=new", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    for argument in (*quiet, *root, "--window-size=1280,900", *arguments):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    downloads.mkdir(exist_ok=True)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver)) as chrome:
        yield Page(chrome, downloads)


class Page:
    """The page as a person meets it."""

    def __init__(self, chrome: Any, downloads: Path) -> None:
        self.chrome, self.downloads = chrome, downloads

    @contextmanager
    def tab(self, downloads: Path) -> Iterator[None]:
        """A new tab, in which nothing of earlier ones is left, until the block ends."""
        self.downloads = downloads
        self.downloads.mkdir(exist_ok=True)
        first = self.chrome.current_window_handle
        self.chrome.switch_to.new_window("tab")
        self.chrome.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads.resolve())}
        )
        self.complaints()  # those of earlier tabs
        try:
            yield
        finally:
            self.chrome.close()
            self.chrome.switch_to.window(first)

    def open(self, address: str) -> None:
        self.chrome.get(address)
        self.until(lambda: self.run("return document.body.dataset.ready"), "the page to be ready")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(script, *arguments)

    def element(self, identity: str) -> Any:
        return self.chrome.find_element("id", identity)

    def click(self, identity: str) -> None:
        self.element(identity).click()

    def give(self, files: dict[str, bytes], script: str = DROP, kind: str = "") -> None:
        """Drop files onto the page (or paste them), by name and content."""
        self.run(script, [[name, kind, base64.b64encode(data).decode()] for name, data in files.items()])

    def until(self, reached: Any, what: str, seconds: float = 120) -> Any:
        """Wait until `reached()` is true and return it."""
        end = time.monotonic() + seconds
        while not (value := reached()):
            assert time.monotonic() < end, f"waited {seconds} s for {what}; {self.says()}; {self.complaints()}"
            time.sleep(0.05)
        return value

    def done(self, text: str, seconds: float = 120) -> None:
        """Wait for the status line to say so."""
        self.until(lambda: self.element("status").text == text, f"{text!r}", seconds)

    def says(self) -> str:
        return f"the page says {self.element('status').text!r} and {self.element('message').text!r}"

    def complaints(self) -> list[str]:
        """What the browser's console holds."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]

    def slide(self, identity: str, value: float) -> None:
        """Move a slider as its user does: with an event."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
        self.run(script, self.element(identity), value)

    def saved(self, name: str) -> bytes:
        """The content of a download that was begun; the file is taken away, so that the next may have its name."""
        path = self.downloads / name
        self.until(lambda: path.exists() and not list(self.downloads.glob("*.crdownload")), f"the download of {name}")
        content = path.read_bytes()
        path.unlink()
        return content

    def pixel(self, x: float, y: float) -> list[int]:
        """What the viewer shows at a place, as shares of its canvas: red, green, blue."""
        script = """
        const canvas = document.getElementById("canvas");
        const at = [arguments[0] * canvas.width, arguments[1] * canvas.height].map(Math.floor);
        return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
        """
        return self.run(script, x, y)

    def screenshot(self, path: Path) -> None:
        self.chrome.save_screenshot(str(path))
