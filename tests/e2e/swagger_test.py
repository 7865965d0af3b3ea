#!/usr/bin/env python3
"""The page at /api in a real Chromium: it loads without asking anybody else, and "Try it out" opens accounts and moves value.

usage: swagger_test.py [--picture FILE]
"""
import json
import os
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from browser import browser, find_chromium, websocket  # noqa: E402
from server import server  # noqa: E402
from tap import Tap, skip_all  # noqa: E402

# What the page's own script would do by hand: open an operation, write the body, send, read the answer.
OPERATION = "document.querySelector('.opblock[id$=\"-%s\"]')"


def open_operation(page, operation):
    page.wait(f"!!{OPERATION % operation}", f"operation {operation}")
    page.evaluate(f"{OPERATION % operation}.querySelector('.opblock-summary-control').click()")
    page.wait(f"!!{OPERATION % operation}.querySelector('button.execute')", f"the button of {operation}")


def fill(page, operation, body):
    """Writes into the text area the way React notices."""
    page.wait(f"!!{OPERATION % operation}.querySelector('textarea.body-param__text')", f"the body of {operation}")
    page.evaluate("""(() => {
        const area = %s.querySelector('textarea.body-param__text');
        Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(area, %s);
        area.dispatchEvent(new Event('input', {bubbles: true}));
        area.dispatchEvent(new Event('change', {bubbles: true}));
    })()""" % (OPERATION % operation, json.dumps(json.dumps(body))))
    # React takes it over in its own time; what is sent must be what was written.
    page.wait(f"{OPERATION % operation}.querySelector('textarea.body-param__text').value === {json.dumps(json.dumps(body))}", "the text")


def execute(page, operation, previous=None):
    """Sends, and gives (status, answer)."""
    page.evaluate(f"{OPERATION % operation}.querySelector('button.execute').click()")
    shown = f"{OPERATION % operation}.querySelector('.live-responses-table tbody .response-col_description code')"
    text = page.wait(f"(() => {{ const c = {shown}; return c && c.textContent !== {json.dumps(previous)} ? c.textContent : '' }})()",
                     f"the answer to {operation}")
    status = page.evaluate(f"{OPERATION % operation}.querySelector('.live-responses-table tbody .response-col_status').innerText")
    return int(status.split()[0]), json.loads(text), text


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return json.load(answer)


def try_it_out(tap, page, port):
    accounts = []
    with tap.point("two accounts are opened by 'Try it out'"):
        open_operation(page, "openAccount")
        previous = None
        for _ in range(2):
            fill(page, "openAccount", {"currency": "USD"})
            status, answer, previous = execute(page, "openAccount", previous)
            assert status == 201, (status, answer)
            accounts.append(answer["accountId"])
        assert get(port, f"/accounts/{accounts[1]}")["number"] == 2
    with tap.point("a transfer is posted by 'Try it out'"):
        open_operation(page, "createTransfer")
        fill(page, "createTransfer", {"from": accounts[0], "to": accounts[1], "amount": 1234, "currency": "USD",
                                      "idempotencyKey": "page-1"})
        status, answer, previous = execute(page, "createTransfer")
        assert status == 201 and answer["amount"] == 1234, (status, answer)
        assert get(port, f"/accounts/{accounts[1]}/balance")["balance"] == 1234
    with tap.point("a refusal is shown as it is"):
        fill(page, "createTransfer", {"from": accounts[0], "to": accounts[1], "amount": "12.34", "currency": "USD"})
        status, answer, previous = execute(page, "createTransfer", previous)
        assert status == 400 and answer["code"] == "amount_decimal", (status, answer)


def take_picture(page, path):
    """The operations as one finds them, below the introduction."""
    page.evaluate("document.querySelector('.opblock-tag-section').scrollIntoView()")
    page.screenshot(path)


def main():
    if find_chromium() is None:
        skip_all("no Chromium package")
    if websocket is None:
        skip_all("python3-websocket is not installed")
    tap = Tap()
    picture = sys.argv[2] if sys.argv[1:2] == ["--picture"] else None
    with server(*(["--demo"] if picture else [])) as port, browser() as page:
        origin = f"http://127.0.0.1:{port}"
        page.call("Page.navigate", url=origin + "/api")
        title = page.wait("document.readyState === 'complete' && document.title", "the page")
        if "built without" in page.evaluate("document.body.innerText"):
            skip_all("this build has no Swagger UI")
        with tap.point("the page shows the contract"):
            assert title == "Credit Ledger: HTTP API", title
            page.wait("document.querySelectorAll('.opblock').length >= 20", "the operations")
            assert "Credit Ledger" in page.evaluate("document.querySelector('.info .title').innerText")
            assert page.evaluate("document.querySelectorAll('.errors-wrapper').length") == 0, "the contract has errors"
        if picture:
            take_picture(page, picture)
            return
        try_it_out(tap, page, port)
        tap.check("nothing was asked from anywhere else",
                  {u for u in page.requests if not u.startswith((origin + "/", "data:", "about:", "blob:"))})
        tap.check("the page had no errors", [e for e in page.errors if "status of 400" not in e])
    tap.done()


main()
