#!/usr/bin/env python3
"""Carries out the steps of deploy/docker/Dockerfile without Docker: each stage in a clean Debian root, as far as a Dockerfile needs
it here (FROM, WORKDIR, COPY, RUN, ENV, USER, ENTRYPOINT, CMD, HEALTHCHECK). The stage with node is npm's part: what ./dev fetched takes
its place. What comes out is started as the image would be."""
import json
import os
import re
import shlex
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "docs"), HERE]
import paste  # noqa: E402
from clean_root import DEBIAN_12, CleanRoot, Unavailable  # noqa: E402
from tap import SOURCE, Skip, Tap, read, skip_all  # noqa: E402

DOCKERFILE = "deploy/docker/Dockerfile"
BASE = "debian:12-slim"  # a clean root is its like


def instructions(text):
    """(word, rest) of each, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, rest = line.split(None, 1)
            yield word.upper(), rest.strip()


def stages(text):
    """(name or None, base, instructions)."""
    found = []
    for word, rest in instructions(text):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append((name or None, base, []))
        else:
            found[-1][2].append((word, rest))
    return found


def kept(path):
    """Does the build context have it? As Dockerfile.dockerignore says; the last line that fits counts."""
    keeps = True
    for line in read(DOCKERFILE + ".dockerignore").split():
        pattern = line.lstrip("!")
        if pattern == "*" or path == pattern or path.startswith(pattern + "/"):
            keeps = line.startswith("!")
    return keeps


class Stage:
    def __init__(self, root, others):
        self.root, self.others, self.directory, self.variables, self.said = root, others, "/", {}, {}

    def copy(self, rest):
        words = rest.split()
        source = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
        *names, to = words
        to = os.path.normpath(os.path.join(self.directory, to)) + ("/" if to.endswith("/") else "")
        for name in names:
            if source == "ui":
                path = os.path.join(SOURCE, "api", os.path.relpath(name, "/"))  # /ui/… is api/ui/…
            elif source:
                path = self.others[source].root.at(name)
            else:
                path = os.path.join(SOURCE, name)
                assert kept(name), f"{name} is not in the build context"
            # A directory's contents, a file itself.
            target = self.root.at(to)
            if os.path.isdir(path):
                def dropped(folder, inner):
                    return [] if source else [n for n in inner if not kept(os.path.relpath(os.path.join(folder, n), SOURCE))]
                shutil.copytree(path, target, dirs_exist_ok=True, ignore=dropped, symlinks=True)
            else:
                os.makedirs(target if to.endswith("/") else os.path.dirname(target), exist_ok=True)
                shutil.copy(path, target)

    def execute(self, command, check=True):
        return self.root.run("sh", "-c", f"cd {shlex.quote(self.directory)} && {command}", check=check, **self.variables)

    def carry_out(self, steps):
        for word, rest in steps:
            if word == "WORKDIR":
                self.directory = rest
                os.makedirs(self.root.at(rest), exist_ok=True)
            elif word == "COPY":
                self.copy(rest)
            elif word == "RUN":
                done = self.execute(rest, check=False)
                if "apt-get update" in rest and done.returncode == 100:
                    raise Unavailable("the Debian archive cannot be reached: " + done.stdout.strip().splitlines()[-1])
                assert done.returncode == 0, f"RUN {rest}: exit {done.returncode}\n{done.stdout[-4000:]}"
            elif word == "ENV":
                name, value = rest.split("=", 1)
                self.variables[name] = value
            elif word in ("USER", "ENTRYPOINT", "CMD", "HEALTHCHECK", "EXPOSE", "VOLUME", "STOPSIGNAL"):
                self.said[word] = rest
            else:
                raise AssertionError(f"this test knows no {word}")


def check_image(tap, image):
    with tap.point("the image has the program and nothing to build with"):
        assert image.execute("creditledger --version", check=False).returncode == 0
        assert image.execute("command -v gcc", check=False).returncode != 0
    with tap.point("it refuses to listen to everybody without tokens"):
        said = image.execute("setpriv --reuid=10001 --regid=10001 --clear-groups creditledger serve", check=False)
        assert said.returncode == 2 and "token-file" in said.stdout, said.stdout
    image.root.install("systemd", "procps")  # for a network, and processes, of its own
    user, group = image.said["USER"].split(":")
    entry = json.loads(image.said["ENTRYPOINT"]) + json.loads(image.said["CMD"])
    health = json.loads(re.search(r"CMD (\[.*\])$", image.said["HEALTHCHECK"])[1])
    with image.root.booted() as machine:
        variables = [f"{name}={value}" for name, value in {**image.variables, "CREDITLEDGER_INSECURE": "1"}.items()]
        machine.run("sh", "-c", shlex.join(["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs",
                                            "--bounding-set=-all", "env", "-C", "/", *variables, *entry]) + " >/tmp/log 2>&1 &")
        with tap.point("it becomes healthy, as the image's user"):
            until = time.monotonic() + 30
            while machine.run(*health, check=False).returncode != 0:
                assert time.monotonic() < until, machine.run("cat", "/tmp/log").stdout
                time.sleep(0.1)
            assert machine.run("stat", "-c", "%u", "/var/lib/creditledger/ledger.db").stdout.strip() == user
        paste.check(tap, "README, against the image", list(paste.run(read("README.md"), 4000, [*machine.enter(), *paste.BASH])))
        with tap.point("its stop signal ends it well"):
            machine.run("pkill", "-" + image.said["STOPSIGNAL"].removeprefix("SIG"), "-x", "creditledger")
            machine.run("sh", "-c", "for i in $(seq 100); do pgrep -x creditledger >/dev/null || exit 0; sleep 0.1; done; exit 1")
            assert '"stopped"' in machine.run("cat", "/tmp/log").stdout


def main():
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter")):
        skip_all("unshare and nsenter are needed")
    if not os.path.isdir(os.path.join(SOURCE, "api/ui/node_modules")):
        skip_all("Swagger UI has not been fetched")
    tap = Tap()
    found = stages(read(DOCKERFILE))
    try:
        with CleanRoot(DEBIAN_12) as first, CleanRoot(DEBIAN_12) as second:
            done = {}
            with tap.point("every step works"):
                assert [base for _, base, _ in found[1:]] == [BASE, BASE], found
                for (name, _, steps), root in zip(found[1:], (first, second)):
                    done[name] = Stage(root, done)
                    done[name].carry_out(steps)
            if len(done) == 2 and "CMD" in done[None].said:
                check_image(tap, done[None])
    except Unavailable as reason:
        with tap.point("in clean roots"):
            raise Skip(str(reason))
    tap.done()


main()
