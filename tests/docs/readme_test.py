#!/usr/bin/env python3
"""Pastes the README's commands line by line into a real bash, in a fresh directory, against a real server, and compares what
is printed with what the README says. Ids and times differ each time: the first id becomes <id 1>, and so on, on both sides.

usage: readme_test.py [--write]

--write puts what was printed into the README.
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from server import server  # noqa: E402
from tap import SOURCE, Tap, read  # noqa: E402

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Names:
    """The same id gets the same name."""

    def __init__(self):
        self.seen = {}

    def normal(self, text):
        text = ID.sub(lambda m: self.seen.setdefault(m[0], f"<id {len(self.seen) + 1}>"), text)
        return TIME.sub("<time>", text).strip()


def steps(text):
    """(commands, expected output or None) in the order of the README."""
    blocks = [(m[1], m[2]) for m in BLOCK.finditer(text)]
    for i, (kind, body) in enumerate(blocks):
        if kind == "bash":
            expected = blocks[i + 1][1] if i + 1 < len(blocks) and blocks[i + 1][0] == "text" else None
            yield body, expected


def paste(bash, commands):
    """One line at a time, as from a keyboard; what they print comes back."""
    mark = "-- end of step --"
    for line in commands.splitlines():
        bash.stdin.write(line + "\n")
        bash.stdin.flush()
    bash.stdin.write(f"echo; echo '{mark}'\n")
    bash.stdin.flush()
    printed = []
    while True:
        line = bash.stdout.readline()
        assert line, "bash ended"
        if line.rstrip("\n") == mark:
            return "".join(printed)
        printed.append(line)


def run(text, port):
    with tempfile.TemporaryDirectory() as fresh:
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": fresh, "LANG": "C.UTF-8"}
        bash = subprocess.Popen(["bash", "--norc", "--noprofile"], cwd=fresh, env=environment, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            for commands, expected in steps(text):
                printed = paste(bash, commands.replace("localhost:4000", f"localhost:{port}"))
                yield commands, expected, printed
        finally:
            bash.stdin.close()
            bash.wait(timeout=30)


def write(text, results):
    outputs = [printed.strip() + "\n" for _, expected, printed in results if expected is not None]

    def replace(match):
        return f"```text\n{outputs.pop(0)}```" if match[1] == "text" else match[0]

    with open(os.path.join(SOURCE, "README.md"), "w", encoding="utf-8") as file:
        file.write(BLOCK.sub(replace, text))


def main():
    text = read("README.md")
    tap = Tap()
    with server(port=4000) as port:
        results = list(run(text, port))
    if sys.argv[1:] == ["--write"]:
        write(text, results)
        return
    told, real = Names(), Names()
    for commands, expected, printed in results:
        with tap.point("README: " + commands.strip().splitlines()[-1][:60]):
            if expected is None:
                assert printed.strip() == "", f"should print nothing, prints:\n{printed}"
            else:
                want, got = told.normal(expected), real.normal(printed)
                assert want == got, f"the README says:\n{want}\nit prints:\n{got}"
    tap.check("the README has its two examples", [] if len(results) >= 4 else ["commands are missing"])
    tap.done()


main()
