#!/usr/bin/env python3
"""Adds up what the variants' tests said.

usage: summary.py DIRECTORY

DIRECTORY holds one testlog.json of meson for each variant (a JSON object a line), and extra.txt with lines
"PASS name", "FAIL name: why" or "SKIP name: why" of tests that meson does not run. A test in TAP counts each of its
points; any other counts as one. Failures and skips are named; the last line is the sum. Exits 1 if anything failed or
nothing ran.
"""
import json
import os
import re
import sys

POINT = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:- )?([^#]*)(?:#\s*(\w+)\s*(.*))?$")


class Sum:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.why = {}
        self.skipped = []

    def point(self, name, ok, directive, reason):
        if directive.lower() == "skip":
            self.skipped.append(f"{name}: {reason}" if reason else name)
        elif ok or directive.lower() == "todo":
            self.passed += 1
        else:
            self.failed.append(name)


def only_skips(output, test):
    """cmocka before 1.1.6 calls a skipped test "not ok N # SKIP", which meson takes for a failure."""
    return test.get("returncode") == 0 and re.search(r"^not ok \d+ # SKIP", output, re.M) is not None


def add_test(total, variant, test):
    name = f"{variant}: {test['name'].split(' / ')[-1]}"
    output = test.get("stdout", "")
    result = test["result"]
    failed_before = len(total.failed)
    points = 0
    if re.search(r"^1\.\.\d+", output, re.M):
        for line in output.splitlines():
            match = POINT.match(line)
            if line.startswith("# ") and len(total.failed) > failed_before and line.strip() != "# ok - tests":
                total.why.setdefault(total.failed[-1], []).append(line[2:])
            if match:
                points += 1
                total.point(f"{name}: {match[3].strip() or match[5] or ''}", not match[1], match[4] or "", match[5] or "")
        plan = re.search(r"^1\.\.0\s*(?:#\s*skip\w*\s*(.*))?$", output, re.M | re.I)
        if plan and points == 0 and result in ("OK", "SKIP"):
            total.skipped.append(f"{name}: {plan[1] or 'no reason given'}")
            return
    if result == "SKIP" and points == 0:
        total.skipped.append(name)
    elif result not in ("OK", "SKIP", "EXPECTEDFAIL") and len(total.failed) == failed_before and not only_skips(output, test):
        # The points passed, or there were none: it crashed, timed out, leaked or stopped early.
        total.failed.append(f"{name} ({result.lower()}, exit {test.get('returncode')})")
    elif points == 0:
        total.passed += 1


def main():
    directory = sys.argv[1]
    total = Sum()
    for file_name in sorted(os.listdir(directory)):
        path = os.path.join(directory, file_name)
        if file_name.endswith(".json"):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    add_test(total, file_name[:-5], json.loads(line))
    extra = os.path.join(directory, "extra.txt")
    if os.path.exists(extra):
        with open(extra, encoding="utf-8") as file:
            for line in file:
                verdict, _, rest = line.rstrip("\n").partition(" ")
                name, _, reason = rest.partition(": ")
                total.point(name if verdict == "SKIP" else rest, verdict == "PASS", "skip" if verdict == "SKIP" else "", reason)
    for name in total.skipped:
        print(f"skipped {name}")
    for name in total.failed:
        print(f"FAILED  {name}")
        for line in total.why.get(name, [])[:12]:
            print(f"          {line}")
    print(f"{total.passed} passed, {len(total.failed)} failed")
    sys.exit(1 if total.failed or total.passed == 0 else 0)


main()
