#!/usr/bin/env python3
"""Holds the documents against the sources: links, limits, flags, metrics, routes, decisions."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "contract")]
from tables import limits, rows  # noqa: E402
from tap import SOURCE, Tap, read  # noqa: E402


def documents():
    for directory in [".", "docs", "docs/adr", "docs/use-cases", "deploy"]:
        for name in sorted(os.listdir(os.path.join(SOURCE, directory))):
            if name.endswith(".md"):
                yield os.path.normpath(os.path.join(directory, name))


def anchors(text):
    """As GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_links():
    for document in documents():
        text = re.sub(r"```.*?```", "", read(document), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"https?:|mailto:", target):
                continue
            path, _, anchor = target.partition("#")
            full = os.path.normpath(os.path.join(os.path.dirname(document), path)) if path else document
            if not os.path.exists(os.path.join(SOURCE, full)):
                yield f"{document}: {target}"
            elif anchor and full.endswith(".md") and anchor not in anchors(read(full)):
                yield f"{document}: no heading for {target}"


def compare(told, real):
    """Both directions of two mappings or sets."""
    for key in sorted(set(real) - set(told)):
        yield f"not documented: {key}"
    for key in sorted(set(told) - set(real)):
        yield f"documented, but not there: {key}"
    if isinstance(told, dict):
        for key in sorted(set(told) & set(real)):
            if told[key] != real[key]:
                yield f"{key}: documented {told[key]}, is {real[key]}"


def check_limits(tap, operations):
    told = {name: int(value) for name, value in re.findall(r"^\| `(LIMIT_\w+)` \| (\d+) \|", operations, re.M)}
    tap.check("limits are those of base/limits.h", compare(told, limits()))


def option_rows(text):
    """Flag to (environment, default) of the option tables in C."""
    joined = re.sub(r'"\s*\\?\s*\n\s*"', "", text)
    for name, environment, default in re.findall(
            r'\{"([a-z-]+)",\s*(?:"[^"]*"|NULL),\s*"(?:[^"\\]|\\.)*",\s*\\?\s*("[^"]*"|NULL),\s*\\?\s*("[^"]*"|NULL),', joined):
        yield "--" + name, (environment.strip('"').replace("NULL", ""), default.strip('"').replace("NULL", ""))


def check_flags(tap, operations):
    files = ("src/app/cmd_serve.c", "src/app/store.h", "src/app/downstream.h")
    real = {flag: row for name in files for flag, row in option_rows(read(name))}
    told = {}
    for flag, environment, default in re.findall(r"^\| `(--[\w-]+)` \| `(\w+)` \|([^|]*)\|", operations, re.M):
        told[flag] = (environment, default.strip().strip("`").replace("off", ""))
    tap.check("flags, environment and defaults are those of 'serve'", compare(told, real))


def check_metrics(tap, operations):
    header = read("src/telemetry/metrics.h")
    real = set(re.findall(r'"(creditledger_\w+)', header))
    told = set(re.findall(r"`(creditledger_\w+)`", operations)) - {"creditledger_read"}  # a schema
    tap.check("metrics are those of telemetry/metrics.h", compare(told, real))


def check_routes(tap):
    """docs/api.md names every route. It writes families of routes by their last part."""
    text = read("docs/api.md")
    names = {f"{row[1]} {row[2]}" for row in rows("src/api/routes.h", "ROUTE_TABLE")}
    told = set(re.findall(r"`(GET|POST|PATCH|PUT|DELETE) (/[^`?\s]*)", text))
    told = {f"{method} {path}" for method, path in told}
    # "/debits" is told beside "/credits"; the page's parts belong to the page.
    implied = {"POST /accounts/{account}/debits", "GET /api/", "GET /api/{file}"}
    tap.check("routes are those of the route table", compare(told | implied, names))


def check_decisions(tap):
    index = read("docs/adr/README.md")
    pages = [f for f in os.listdir(os.path.join(SOURCE, "docs/adr")) if f != "README.md"]
    tap.check("every decision is linked", (p for p in pages if f"({p})" not in index))
    tap.check("decisions have their parts",
              (f"{p}: {part}" for p in pages for part in ("**Context.**", "**Decision.**", "**Consequences.**", "**Rejected.**")
               if part not in read("docs/adr/" + p)))
    tap.check("a decision's number and title are the index's",
              (p for p in pages if f"{int(p[:4])}. [{re.sub(r'^# [0-9]+. ', '', read('docs/adr/' + p).splitlines()[0])}]({p})" not in index))
    tap.check("decisions are a page", (p for p in pages if read("docs/adr/" + p).count("\n") > 60))


def check_invariants(tap):
    told = set(re.findall(r"^\| (I\d+) \|", read("docs/invariants.md"), re.M))
    cited = set()
    for directory, _, names in os.walk(os.path.join(SOURCE, "src")):
        for name in names:
            if name.endswith((".c", ".h", ".sql")):
                cited |= set(re.findall(r"\b(I\d{1,2})\b", read(os.path.relpath(os.path.join(directory, name), SOURCE))))
    tap.check("invariants cited in the sources are in docs/invariants.md", sorted(cited - told))


def check_codes(tap):
    codes = {row[1] for row in rows("src/ledger/refusal.h", "REFUSAL_TABLE")}
    text = read("docs/troubleshooting.md")
    named = set(re.findall(r"\b[2345]\d\d `([a-z_]+)`", text)) | set(re.findall(r"\b[2345]\d\d `[a-z_]+`, `([a-z_]+)`", text))
    tap.check("codes in docs/troubleshooting.md exist", sorted(named - codes))
    tap.check("docs/errors.md has every code", sorted(c for c in codes if f"`{c}`" not in read("docs/errors.md")))


def check_files(tap, operations):
    store = read("src/app/store.c")
    tap.check("names of the data directory's files are the program's",
              [] if '"ledger.db"' in store and '"%s/lock"' in store
              and "`ledger.db`" in operations and "`lock`" in operations else ["they differ"])


def main():
    tap = Tap()
    operations = read("docs/operations.md")
    tap.check("no dead links", dead_links())
    check_limits(tap, operations)
    check_flags(tap, operations)
    check_metrics(tap, operations)
    check_routes(tap)
    check_decisions(tap)
    check_invariants(tap)
    check_codes(tap)
    check_files(tap, operations)
    tap.done()


main()
