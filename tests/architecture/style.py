#!/usr/bin/env python3
"""What of the house style a machine can check."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import SOURCE, Tap, read  # noqa: E402

LINES_MAX = 800
FUNCTION_LINES_MAX = 100


def tracked(*patterns):
    """Files that are or would be committed; without git, all that are there."""
    try:
        listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *patterns], cwd=SOURCE,
                                 capture_output=True, check=True, text=True).stdout
        return sorted(f for f in set(listing.split("\0")) if f and os.path.exists(os.path.join(SOURCE, f)))
    except (OSError, subprocess.CalledProcessError):
        found = []
        for directory, _, names in os.walk(SOURCE):
            relative = os.path.relpath(directory, SOURCE)
            if relative.split(os.sep)[0].startswith(("build", ".git")) or "node_modules" in relative:
                continue
            found += [os.path.normpath(os.path.join(relative, n)) for n in names]
        suffixes = tuple(p.lstrip("*") for p in patterns)
        return sorted(f for f in found if f.endswith(suffixes))


def long_functions(path, text):
    start = None
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start + 1 > FUNCTION_LINES_MAX:
                yield f"{path}:{start}: {number - start + 1} lines"
            start = None


def guard_of(path):
    return "CREDITLEDGER_" + re.sub(r"[/.]", "_", re.sub(r"^src/", "", path)).upper()


def without_comments(text):
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', re.sub(r"/\*.*?\*/", "", text, flags=re.S))


def untested(files):
    """Modules (a header with its source) that no test reaches through includes."""
    reached = set()
    pending = [p for p in files if re.search(r"_test\.c$|_suite\w*\.[ch]$|^tests/", p)]
    while pending:
        for header in re.findall(r'#include "([^"]+)"', files[pending.pop()]):
            if "src/" + header in files and header not in reached:
                reached.add(header)
                pending.append("src/" + header)
    for path in files:
        match = re.fullmatch(r"src/(\w+/\w+)\.h", path)
        if match and f"src/{match[1]}.c" in files and f"{match[1]}.h" not in reached and not private(match[1], files):
            yield f"{match[1]}.h is in no test"


def private(module, files):
    """Included by the sources of its own room only, one of which has a test."""
    users = [p for p, text in files.items() if f'"{module}.h"' in text and p != f"src/{module}.c"]
    room = module.split("/")[0]
    return bool(users) and all(p.startswith(f"src/{room}/") for p in users)


def main():
    tap = Tap()
    files = {path: read(path) for path in tracked("*.c", "*.h")}
    assert files
    tap.check(f"no file over {LINES_MAX} lines",
              (f"{p}: {t.count(chr(10))} lines" for p, t in files.items() if t.count("\n") > LINES_MAX))
    tap.check(f"no function over {FUNCTION_LINES_MAX} lines",
              (problem for p, t in files.items() for problem in long_functions(p, t)))
    tap.check("no typedef struct",
              (p for p, t in files.items() if re.search(r"\btypedef\s+(struct|enum|union)\b", without_comments(t))))
    headers = {p: t for p, t in files.items() if p.startswith("src/") and p.endswith(".h")}
    tap.check("headers have the guard of their path",
              (f"{p}: {guard_of(p)}" for p, t in headers.items()
               if not re.search(rf"#ifndef {guard_of(p)}\n#define {guard_of(p)}\n", t)))
    tap.check("headers open with a paragraph", (p for p, t in headers.items() if not t.startswith("/*")))
    tap.check("every module is in a test", untested(files))
    everything = {path: read(path) for path in tracked("*.c", "*.h", "*.py", "*.sh", "*.md", "*.sql", "*.yaml", "meson.build", "dev")}
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
    tap.check("nothing is left to do",
              (f"{p}: {m[0]}" for p, t in everything.items() for m in [words.search(t)] if m))
    tap.check("no floating point near money",
              (p for p, t in files.items() if p.startswith(("src/money/", "src/ledger/", "src/journal/", "src/engine/"))
               and not p.endswith("_test.c") and re.search(r"\b(double|float)\b", without_comments(t))))
    tap.done()


main()
