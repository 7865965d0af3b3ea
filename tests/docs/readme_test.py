#!/usr/bin/env python3
"""Pastes the README's commands into a real bash (paste.py).

usage: readme_test.py [--write]

--write puts what was printed into the README.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import paste  # noqa: E402
from server import server  # noqa: E402
from tap import Tap, read  # noqa: E402


def main():
    text = read("README.md")
    tap = Tap()
    with server(port=4000) as port:
        results = list(paste.run(text, port))
    if sys.argv[1:] == ["--write"]:
        paste.write("README.md", text, results)
        return
    paste.check(tap, "README", results)
    tap.check("the README has its two examples", [] if len(results) >= 4 else ["commands are missing"])
    tap.done()


main()
