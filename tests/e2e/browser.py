"""Chromium without a window, driven over its DevTools protocol. One page; every request that it makes is kept."""
import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

try:
    import websocket
except ImportError:
    websocket = None

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions", "--mute-audio",
         "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1", "--window-size=1280,900"]


def find_chromium():
    """None where there is no Chromium that runs from a package."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and not os.path.realpath(path).startswith("/snap"):
            return path
    return None


class Page:
    def __init__(self, url):
        self.socket = websocket.create_connection(url, timeout=30, suppress_origin=True)
        self.next_id = 0
        self.requests = []
        self.errors = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(domain + ".enable")

    def _take(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))

    def call(self, method, **params):
        self.next_id += 1
        self.socket.send(json.dumps({"id": self.next_id, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.next_id:
                assert "error" not in message, message
                return message["result"]
            self._take(message)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression, what, seconds=20):
        """Until the expression is true; its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.evaluate(expression)
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come in {seconds} s; the page says: {self.evaluate('document.body.innerText')[:1500]}")

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def browser():
    with tempfile.TemporaryDirectory(prefix="creditledger-chromium-", ignore_cleanup_errors=True) as profile:
        with open(os.path.join(profile, "log"), "w", encoding="utf-8") as log:
            process = subprocess.Popen([find_chromium(), *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}",
                                        "about:blank"], stdout=log, stderr=log, env={**os.environ, "HOME": profile})
            page = None
            try:
                page = Page(page_url(profile, process))
                yield page
            finally:
                if page is not None:
                    page.socket.close()
                process.terminate()
                process.wait(timeout=30)


def page_url(profile, process):
    """Where the DevTools protocol of the first page is."""
    import urllib.request
    path = os.path.join(profile, "DevToolsActivePort")
    for _ in range(600):
        if os.path.exists(path) and os.path.getsize(path) > 0:
            with open(path, encoding="utf-8") as file:
                port = file.readline().strip()
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                    for target in json.load(answer):
                        if target["type"] == "page":
                            return target["webSocketDebuggerUrl"]
        if process.poll() is not None:
            with open(os.path.join(profile, "log"), encoding="utf-8") as log:
                raise AssertionError("Chromium stopped at once: " + log.read()[-2000:])
        time.sleep(0.05)
    raise AssertionError("Chromium did not open its DevTools in 30 s")
