"""Pastes the commands of a document line by line into a real bash, in a fresh directory, against a real server, and compares what
is printed with what the document says.

Blocks marked `bash` are commands; a block marked `text` right behind one is what they print, and without one they print
nothing. Ids and times differ each time: the first id becomes <id 1>, and so on, on both sides; so do hashes.
"""
import os
import re
import subprocess
import tempfile

from server import free_port
from tap import BUILD, SOURCE

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
HASH = re.compile(r"\b[0-9a-f]{64}\b")
PORT = re.compile(r"(localhost|127\.0\.0\.1):(4\d\d\d)\b")
BASH = ("bash", "--norc", "--noprofile")


class Names:
    """The same id gets the same name, and the same hash."""

    def __init__(self):
        self.seen, self.hashes = {}, {}

    def normal(self, text):
        text = ID.sub(lambda m: self.seen.setdefault(m[0], f"<id {len(self.seen) + 1}>"), text)
        text = HASH.sub(lambda m: self.hashes.setdefault(m[0], f"<hash {len(self.hashes) + 1}>"), text)
        return TIME.sub("<time>", text).strip()


def steps(text):
    """(commands, expected output or None) in the order of the document."""
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


def run(text, port, shell=BASH):
    """(commands, expected output or None, what was printed) of each step; `shell` starts a bash. Port 4000 is that of the server
    that runs already; other ports are for servers that the document starts itself."""
    ports = {"4000": port}
    with tempfile.TemporaryDirectory() as fresh:
        environment = {"PATH": f"{BUILD}:/usr/local/bin:/usr/bin:/bin", "HOME": fresh, "LANG": "C.UTF-8"}
        bash = subprocess.Popen(list(shell), cwd=fresh, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        try:
            for commands, expected in steps(text):
                printed = paste(bash, PORT.sub(lambda m: f"{m[1]}:{ports.setdefault(m[2], free_port())}", commands))
                for told, real in ports.items():
                    printed = printed.replace(f":{real}", f":{told}")
                yield commands, expected, printed
        finally:
            bash.stdin.close()
            bash.wait(timeout=60)


def write(path, text, results):
    """Puts what was printed into the document."""
    outputs = [printed.strip() + "\n" for _, expected, printed in results if expected is not None]
    steps_with_output = set()
    blocks = list(BLOCK.finditer(text))
    for before, block in zip(blocks, blocks[1:]):
        if before[1] == "bash" and block[1] == "text":
            steps_with_output.add(block.start())

    def replace(match):
        return f"```text\n{outputs.pop(0)}```" if match.start() in steps_with_output else match[0]

    with open(os.path.join(SOURCE, path), "w", encoding="utf-8") as file:
        file.write(BLOCK.sub(replace, text))


def check(tap, name, results):
    """A point for each step."""
    told, real = Names(), Names()
    for commands, expected, printed in results:
        with tap.point(f"{name}: {commands.strip().splitlines()[-1][:60]}"):
            if expected is None:
                assert printed.strip() == "", f"should print nothing, prints:\n{printed}"
            else:
                want, got = told.normal(expected), real.normal(printed)
                assert want == got, f"{name} says:\n{want}\nit prints:\n{got}"
