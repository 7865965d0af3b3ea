#!/usr/bin/env python3
"""The production-like set on one machine, from real components, without containers: PostgreSQL, Kafka, two processes that take
requests, relay, projector, Prometheus; all on 127.0.0.1.

usage: up.py [--directory DIR] [--port N] [--seconds N] [-- SERVE-OPTION...]

It makes everything in DIR (creditledger-up; a new database and new topics each time), says where everything is, and ends all of it
with itself: Ctrl-C. Processes take ports N (4000) and above; 0: any that are free. With --seconds it ends by itself. A process
that ends too early takes the others with it, and its log says why. Options behind -- go to each `creditledger serve`.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "support"))
import kafka  # noqa: E402
import postgres  # noqa: E402
import prometheus  # noqa: E402
import under  # noqa: E402

PROGRAM = os.environ.get("CREDITLEDGER_BINARY") or os.path.join(HERE, "..", "build", "creditledger")
ROLES = {"api-1": "api", "api-2": "api", "relay": "relay", "projector": "projector"}
START_SECONDS, STOP_SECONDS = 60, 40
MARK = ".creditledger-up"


class Failed(Exception):
    pass


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--directory", default="creditledger-up")
    parser.add_argument("--port", type=int, default=4000)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("options", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.options[:1] == ["--"]:
        del options.options[0]
    elif options.options:
        parser.error(f"there is no '{options.options[0]}'; options of serve stand behind --")
    return options


def make_directory(path):
    """Empty; what stands there must be ours."""
    if os.path.exists(path) and os.listdir(path) and not os.path.exists(os.path.join(path, MARK)):
        raise Failed(f"{path} is something else's: name another --directory")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(os.path.join(path, "logs"))
    with open(os.path.join(path, MARK), "w", encoding="utf-8"):
        pass


def migrate(url):
    done = subprocess.run([PROGRAM, "migrate", "--database-url", url, "--runtime-role", "ledger_server"], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failed("migrate: " + done.stdout + done.stderr)
    return postgres.with_user(url, "ledger_server")


class Server:
    """One process of `creditledger serve`."""

    def __init__(self, name, directory, port, options):
        self.name, self.log_path, self.port = name, os.path.join(directory, "logs", name), None
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--roles", ROLES[name],
                                             "--log-format", "json", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=under.end_with_parent)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def alive(self):
        return self.process.poll() is None

    def find_port(self):
        for line in self.log().splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n") and json.loads(line).get("message") == "listening":
                self.port = int(json.loads(line)["port"])

    def ready(self):
        if self.port is None:
            self.find_port()
            if self.port is None:
                return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_ready(self, ends):
        while not self.ready():
            if not self.alive() or time.monotonic() > ends:
                raise Failed(f"{self.name} does not start:\n{self.log()[-2000:]}")
            time.sleep(0.02)


class Set:
    """All of it; close() ends what has been started, those that others need last."""

    def __init__(self, options):
        self.directory = os.path.abspath(options.directory)
        self.parts, self.servers = [], []
        try:
            self.start(options)
        except BaseException:
            self.close()
            raise

    def part(self, part):
        self.parts.append(part)
        return part

    def start(self, options):
        make_directory(self.directory)
        self.cluster = self.part(postgres.Cluster())
        self.database = self.cluster.database("ledger")
        self.broker = self.part(kafka.Broker(jvm=()))
        url = migrate(self.database)
        more = ["--database-url", url, "--kafka-brokers", self.broker.address, *options.options]
        ends = time.monotonic() + START_SECONDS
        for i, name in enumerate(ROLES):
            self.servers.append(Server(name, self.directory, options.port + i if options.port else 0, more))
        for server in self.servers:
            server.wait_ready(ends)
        self.prometheus = None
        if prometheus.program("prometheus"):
            base = os.path.join(self.directory, "prometheus")
            os.makedirs(base)
            self.prometheus = self.part(prometheus.Prometheus({s.name: f"127.0.0.1:{s.port}" for s in self.servers}, base=base,
                                                              port=options.port + len(ROLES) if options.port else None))
        for name, part in (("postgres", self.cluster), ("kafka", self.broker)):
            os.symlink(part.log_path, os.path.join(self.directory, "logs", name))

    def places(self):
        """Where everything is: name and address."""
        found = {s.name: f"http://127.0.0.1:{s.port}" for s in self.servers}
        found["prometheus"] = f"http://{self.prometheus.address}" if self.prometheus else "is not here"
        found["kafka"], found["postgres"] = self.broker.address, self.database
        found["logs"] = os.path.join(self.directory, "logs")
        return found

    def dead(self):
        """Names of what has ended by itself."""
        names = [s.name for s in self.servers if not s.alive()]
        return names + [type(p).__name__.lower() for p in self.parts if p.process.poll() is not None]

    def close(self):
        for server in reversed(self.servers):
            server.process.send_signal(signal.SIGTERM)
        ends = time.monotonic() + STOP_SECONDS
        for server in self.servers:
            try:
                server.process.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
        for part in reversed(self.parts):
            self.keep_log(part)
            part.close()

    def keep_log(self, part):
        """The directories of PostgreSQL and Kafka go with them; their logs stay."""
        place = os.path.join(self.directory, "logs", {"Cluster": "postgres", "Broker": "kafka"}.get(type(part).__name__, "-"))
        if os.path.islink(place):
            os.unlink(place)
            shutil.copyfile(part.log_path, place)


def wait(everything, seconds):
    ends = time.monotonic() + seconds if seconds else float("inf")
    while time.monotonic() < ends:
        if dead := everything.dead():
            raise Failed(f"{', '.join(dead)} ended; see {everything.directory}/logs")
        time.sleep(0.2)


def main():
    options = parse()
    under.end_by_exit()
    if postgres.BIN is None:
        sys.exit("up.py: PostgreSQL is not installed (Debian, Ubuntu: postgresql)")
    everything = None
    try:
        kafka.prepare()
        everything = Set(options)
        for name, place in everything.places().items():
            print(f"{name:<12}{place}", flush=True)
        print("Ctrl-C ends all of it.", flush=True)
        wait(everything, options.seconds)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    except (Failed, kafka.Unavailable, AssertionError) as reason:
        sys.exit(f"up.py: {reason}")
    finally:
        if everything:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            everything.close()


main()
