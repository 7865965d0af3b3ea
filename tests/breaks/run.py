#!/usr/bin/env python3
"""Breaks the product on purpose, one place at a time, and sees that a test goes red for each.

A checker is itself checked: a test that stays green while what it guards is broken guards nothing. The table is in
*.breaks beside this file; each break is an exact textual replacement in one source file and names the tests that must
fail. The sources are copied, so that nothing here touches the working tree; they are built once, and then again for
each break, which is one or two files. A text that is no longer there, or there twice, fails as loudly as a test that
stays green: the table has to follow the sources.

usage: run.py [--list | --check] [--build DIRECTORY] [--sample N] [--shard I/N] [WORD...]

--check builds nothing: are the texts still there, and the tests? WORD: only breaks whose name or file has it. --sample N: N breaks, spread over the table.
"""
import argparse
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
TIMEOUT_SECONDS = 90


class Break:
    def __init__(self, name, where):
        self.name, self.where = name, where
        self.file, self.tests, self.old, self.new = None, [], [], []

    def finish(self):
        if not (self.file and self.tests and self.old):
            sys.exit(f"{self.where}: '{self.name}' lacks a file, a test or a text")
        self.old, self.new = "\n".join(self.old), "\n".join(self.new)


def parse(path):
    """`= name`, then `@ file | test, test`, then lines of the old text after `-` and of the new one after `+`."""
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            mark, rest = line[0], line[2:]
            if mark == "=":
                found.append(Break(rest, f"{os.path.basename(path)}:{number}"))
            elif mark == "@":
                found[-1].file, tests = (part.strip() for part in rest.split("|"))
                found[-1].tests = [test.strip() for test in tests.split(",")]
            elif mark in "-+":
                (found[-1].old if mark == "-" else found[-1].new).append(rest)
            else:
                sys.exit(f"{path}:{number}: a line starts with = @ - or +")
    for one in found:
        one.finish()
    return found


def table():
    breaks = [one for path in sorted(glob.glob(os.path.join(HERE, "*.breaks"))) for one in parse(path)]
    names = [one.name for one in breaks]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"two breaks are called '{name}'")
    return breaks


def tracked():
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=SOURCE, capture_output=True,
                             check=True).stdout
    return [name for name in listing.decode().split("\0") if name]


def copy_sources(tree):
    """Only what differs, so that a second run builds little."""
    wanted = set()
    for name in tracked():
        source, target = os.path.join(SOURCE, name), os.path.join(tree, name)
        if not os.path.isfile(source):
            continue
        wanted.add(name)
        if os.path.exists(target):
            with open(source, "rb") as a, open(target, "rb") as b:
                if a.read() == b.read():
                    continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        shutil.copymode(source, target)
    for directory, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.relpath(path, tree) not in wanted:
                os.remove(path)


def check(breaks):
    """That the table still fits the sources and the tests of a build directory: TAP."""
    with open(os.path.join(os.environ["CREDITLEDGER_BUILD"], "meson-info", "intro-tests.json"), encoding="utf-8") as file:
        tests = {test["name"] for test in json.load(file)}
    problems = []
    for one in breaks:
        text = ""
        if os.path.exists(os.path.join(SOURCE, one.file)):
            with open(os.path.join(SOURCE, one.file), encoding="utf-8") as file:
                text = file.read()
        if text.count(one.old) != 1:
            problems.append(f"{one.where} '{one.name}': its text is {text.count(one.old)} times in {one.file}")
        problems += [f"{one.where} '{one.name}': no test {test}" for test in one.tests if test not in tests]
    print("TAP version 13\n1..1")
    for problem in problems:
        print("#", problem)
    print(("not " if problems else "") + f"ok 1 - {len(breaks)} breaks have their place and their tests")
    return 1 if problems else 0


def run(command, **options):
    """Return code and output; a process group of its own, ended as a whole when its time is up."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               start_new_session=True, text=True, errors="replace", **options)
    try:
        output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output


class Build:
    def __init__(self, directory):
        self.tree, self.out = os.path.join(directory, "tree"), os.path.join(directory, "out")
        os.makedirs(self.tree, exist_ok=True)
        copy_sources(self.tree)
        if not os.path.exists(os.path.join(self.out, "build.ninja")):
            subprocess.run(["meson", "setup", self.out, self.tree, "-Dtests=enabled", "-Dbuildtype=debug",
                            "-Doptimization=1"], check=True, stdout=subprocess.DEVNULL)
        else:
            subprocess.run(["meson", "setup", "--reconfigure", self.out, self.tree], check=True,
                           stdout=subprocess.DEVNULL)
        introspected = subprocess.run(["meson", "introspect", self.out, "--tests", "--targets"], check=True,
                                      capture_output=True, text=True).stdout
        everything = json.loads(introspected)
        self.tests = {test["name"]: test for test in everything["tests"]}
        self.files = {target["id"]: target["filename"] for target in everything["targets"]}

    def compile(self, names):
        """What these tests need. None, or the compiler's complaint."""
        targets = {os.path.relpath(file, self.out) for name in names for target in self.tests[name]["depends"]
                   for file in self.files[target]}
        if not targets:
            targets = {"all"}
        code, output = run(["ninja", "-C", self.out, *sorted(targets)])
        return None if code == 0 else output

    def passes(self, name):
        """True, False, or None if it did not come to an end."""
        test = self.tests[name]
        environment = dict(os.environ, **test["env"])
        code, output = run(test["cmd"], env=environment, cwd=test["workdir"] or self.out)
        if code is None:
            return None
        return code == 0 and not re.search(r"^not ok", output, re.M)


def apply(build, one):
    """The file's text before, or None with the reason."""
    path = os.path.join(build.tree, one.file)
    if not os.path.exists(path):
        return None, f"there is no {one.file}"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    times = text.count(one.old)
    if times != 1:
        return None, f"its text is there {times} times"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(one.old, one.new))
    return text, None


def try_break(build, one):
    """(test or None, verdict) for each test."""
    unknown = [test for test in one.tests if test not in build.tests]
    if unknown:
        return [(unknown[0], "NO SUCH TEST")]
    text, fault = apply(build, one)
    if fault:
        return [(None, "LOST: " + fault)]
    try:
        complaint = build.compile(one.tests)
        if complaint:
            return [(None, "DOES NOT BUILD\n" + complaint[-2000:])]
        verdicts = {True: "GREEN", False: "red", None: "red (no end)"}
        return [(test, verdicts[build.passes(test)]) for test in one.tests]
    finally:
        with open(os.path.join(build.tree, one.file), "w", encoding="utf-8") as file:
            file.write(text)


def baseline(build, breaks):
    """Tests that are red without any break prove nothing."""
    names = sorted({test for one in breaks for test in one.tests if test in build.tests})
    complaint = build.compile(names)
    if complaint:
        sys.exit("the sources do not build:\n" + complaint[-4000:])
    red = [name for name in names if not build.passes(name)]
    for name in red:
        print(f"red before anything was broken: {name}", flush=True)
    return red


def choose(breaks, options):
    words = [word.lower() for word in options.words]
    chosen = [one for one in breaks if not words or any(word in (one.name + " " + one.file).lower() for word in words)]
    if options.shard:
        part, parts = (int(number) for number in options.shard.split("/"))
        chosen = chosen[part - 1::parts]
    if options.sample and options.sample < len(chosen):
        step = len(chosen) / options.sample
        chosen = [chosen[int(i * step)] for i in range(options.sample)]
    return chosen


def main():
    parser = argparse.ArgumentParser(description="Breaks the product on purpose and sees that a test goes red.")
    parser.add_argument("--list", action="store_true", help="the table, and nothing else")
    parser.add_argument("--check", action="store_true", help="does the table fit the sources? Nothing is built")
    parser.add_argument("--build", default=os.path.join(SOURCE, "build-breaks"), metavar="DIRECTORY")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them, spread over the table")
    parser.add_argument("--shard", metavar="I/N", help="every Nth, from the Ith on")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only breaks whose name or file has it")
    options = parser.parse_args()
    breaks = choose(table(), options)
    if options.list:
        for one in breaks:
            print(f"{one.name} | {', '.join(one.tests)}")
        return 0
    if options.check:
        return check(breaks)
    if not breaks:
        sys.exit("no break has that word")
    began = time.monotonic()
    build = Build(os.path.abspath(options.build))
    bad = len(baseline(build, breaks))
    print(f"{'break':<70} | {'test':<28} | result")
    for one in breaks:
        for test, verdict in try_break(build, one):
            print(f"{one.name:<70} | {test or one.where:<28} | {verdict}", flush=True)
            bad += not verdict.startswith("red")
    print(f"{len(breaks)} breaks in {time.monotonic() - began:.0f} s, "
          + (f"{bad} of them not seen" if bad else "every one seen"))
    return 1 if bad else 0


sys.exit(main())
