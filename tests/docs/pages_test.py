#!/usr/bin/env python3
"""Pastes the commands of every other document that has some into a real bash (paste.py), each over a fresh server.

usage: pages_test.py [--write [PAGE...]]

--write puts what was printed into the pages.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import paste  # noqa: E402
from server import server  # noqa: E402
from tap import SOURCE, Tap, read  # noqa: E402

USE_CASES = {"saas-credits", "marketplace-escrow", "loyalty-points", "wallets", "usage-based-billing"}


def pages():
    """Documents with commands, but the README, which has a test of its own."""
    for directory, inner, names in os.walk(os.path.join(SOURCE, "docs")):
        inner.sort()
        for name in sorted(names):
            path = os.path.relpath(os.path.join(directory, name), SOURCE)
            if name.endswith(".md") and any(paste.steps(read(path))):
                yield path


def main():
    tap = Tap()
    found = list(pages())
    wanted = sys.argv[2:] or found
    for page in wanted:
        text = read(page)
        with server() as port:
            results = list(paste.run(text, port))
        if sys.argv[1:2] == ["--write"]:
            paste.write(page, text, results)
        else:
            paste.check(tap, os.path.basename(page), results)
    if sys.argv[1:2] == ["--write"]:
        return
    tap.check("every use case can be pasted", sorted(USE_CASES - {os.path.basename(p)[:-3] for p in found if "/use-cases/" in p}))
    tap.done()


main()
