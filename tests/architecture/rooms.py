#!/usr/bin/env python3
"""Holds the rooms against the drawing in docs/architecture.md, and outside libraries against their places."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import SOURCE, Tap, read  # noqa: E402

# Header to the rooms that may include it; single files that may, with their reason.
LIBRARIES = {
    "microhttpd.h": {"http"},
    "curl/": {"telemetry"},
    "sqlite3.h": {"journal", "db"},
    "libpq": {"journal", "db"},
    "librdkafka/": {"kafka"},
    "jansson.h": {"api", "app", "readmodel"},
    "openssl/": {"journal", "app"},
}
EXCEPTIONS = {("app/cmd_version.c", "sqlite3.h"): "prints the library's version"}
PURE_ROOMS = ("base", "money", "ledger", "events", "api")
# A pure room asks no clock, no file, no network, no environment.
IMPURE_HEADERS = re.compile(r"<(time|fcntl|unistd|pthread|sys/(?!types)\w+|netinet/\w+|dirent|poll|signal|threads)\.h>")


def drawing():
    block = re.search(r"```rooms\n(.*?)```", read("docs/architecture.md"), re.S)[1]
    rooms = {}
    for line in block.splitlines():
        room, _, uses = line.partition("→")
        rooms[room.strip()] = uses.split()
    return rooms


def sources():
    for directory, _, names in os.walk(os.path.join(SOURCE, "src")):
        for name in names:
            if name.endswith((".c", ".h")):
                path = os.path.relpath(os.path.join(directory, name), os.path.join(SOURCE, "src"))
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    yield path, file.read()


def includes(text):
    return re.findall(r'^\s*#\s*include\s*(["<][^">]+[">])', text, re.M)


def is_test(path):
    """Unit tests, and what only they use."""
    name = os.path.basename(path)
    return name.endswith("_test.c") or "_suite" in name or "toy_" in name or name in ("testing.h", "check.h", "arrange.h")


def closure(rooms, room, seen=None):
    seen = set() if seen is None else seen
    for used in rooms.get(room, ()):
        if used not in seen:
            seen.add(used)
            closure(rooms, used, seen)
    return seen


def arrows(files, rooms):
    """(room, room) to the files that make the arrow; tests apart."""
    code, tests = {}, {}
    for path, text in files:
        room = path.split("/")[0]
        for include in includes(text):
            other = include.strip('"<>').split("/")[0]
            if include.startswith('"') and other in rooms and other != room:
                (tests if is_test(path) else code).setdefault((room, other), []).append(path)
    return code, tests


def main():
    tap = Tap()
    rooms = drawing()
    files = list(sources())
    present = {path.split("/")[0] for path, _ in files}
    tap.check("every room is drawn", (room for room in present if room not in rooms))
    tap.check("every room drawn is there", (room for room in rooms if room not in present))
    order = list(rooms)
    tap.check("arrows run one way",
              (f"{room} → {used}" for room in rooms for used in rooms[room] if order.index(used) >= order.index(room)))
    code, tests = arrows(files, rooms)
    tap.check("no include that is not drawn",
              (f"{a} → {b}: {', '.join(paths)}" for (a, b), paths in code.items() if b not in rooms[a]))
    tap.check("no arrow that is not used",
              (f"{a} → {b}" for a in rooms for b in rooms[a] if (a, b) not in code))
    tap.check("tests stay within what their room may reach",
              (f"{a} → {b}: {', '.join(paths)}" for (a, b), paths in tests.items() if b not in closure(rooms, a)))
    tap.check("outside libraries stay in their rooms",
              (f"{path} includes {include}" for path, text in files for include in includes(text)
               for header, allowed in LIBRARIES.items()
               if include.strip('"<>').startswith(header) and path.split("/")[0] not in allowed
               and (path, header) not in EXCEPTIONS and not is_test(path)))
    tap.check("pure rooms include nothing that does I/O",
              (f"{path} includes {include}" for path, text in files if path.split("/")[0] in PURE_ROOMS and not is_test(path)
               for include in includes(text) if IMPURE_HEADERS.search(include)))
    tap.check("included headers exist",
              (f"{path}: {include}" for path, text in files for include in includes(text)
               if include.startswith('"') and include.strip('"').split("/")[0] in rooms
               and not os.path.exists(os.path.join(SOURCE, "src", include.strip('"')))))
    tap.done()


main()
