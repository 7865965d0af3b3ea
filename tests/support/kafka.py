"""Private Kafka brokers for tests: one node (KRaft), on free ports of 127.0.0.1, gone when the test is.

    with Broker() as broker:
        broker.address                      # "127.0.0.1:41234", the same after a restart
        broker.create("mine", partitions=3)
        broker.kill()                       # SIGKILL
        broker.start()
    for message in messages(address, "mine"): ...

The jars come from Maven's central repository by Maven's own client (tests/support/kafka-broker/pom.xml), once; they stay in
build-tools/, with a formatted data directory and an archive of loaded classes, which halves a start. A broker is a
directory under $TMPDIR. A guard, a process of its own, ends it and removes the directory when the program that made it
ends, however it ends.

Tests that break nothing share one broker: ./dev test (or `scripts/kafka.py run -- COMMAND`) names it in
CREDITLEDGER_TEST_KAFKA. They put topics of their own beside each other's by a prefix of their own: shared_prefix().
"""
import contextlib
import glob
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from postgres import free_port, inhabitants, signal_all, wait_empty
from tap import SOURCE, skip_all

VARIABLE = "CREDITLEDGER_TEST_KAFKA"
HERE = os.path.dirname(os.path.abspath(__file__))
POM, LOGGING = os.path.join(HERE, "kafka-broker", "pom.xml"), os.path.join(HERE, "kafka-broker", "log4j2.properties")
OLDEST_JAVA = 17
CLUSTER_ID = "creditledgerTestsKafka"  # 22 characters of base64: a uuid as Kafka writes it
START_SECONDS = 60
HOW = f"needs Kafka: run it by ./dev test, or by scripts/kafka.py run -- COMMAND, which sets {VARIABLE}"
# A small heap, and a collector without threads of its own. Only C1 compiles, which halves the processor time of a start;
# tests that measure give jvm=().
JVM = ("-XX:TieredStopAtLevel=1",)
HEAP = ("-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData")


class Unavailable(Exception):
    """Why there can be no broker here."""


# --- what a broker is made of ----------------------------------------------------------------------------------------


def version():
    with open(POM, encoding="utf-8") as file:
        return re.search(r"<kafka\.version>(.*)</kafka\.version>", file.read())[1]


def kept():
    """The directory that keeps jars, formatted data and the archive of classes."""
    return os.path.join(os.environ.get("CREDITLEDGER_TEST_CACHE") or os.path.join(SOURCE, "build-tools"), f"kafka-{version()}")


def java_version():
    if shutil.which("java") is None:
        return 0
    out = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', out)
    return int(found[1]) if found else 0


def java(*arguments, directory=None, jvm=JVM):
    """The command of a Java program of Kafka's."""
    directory = directory or kept()
    archive = os.path.join(directory, "classes.jsa")
    shared = [f"-XX:SharedArchiveFile={archive}"] if os.path.exists(archive) else []
    return ["java", *HEAP, *jvm, *shared, f"-Dlog4j2.configurationFile={LOGGING}", "-cp",
            ":".join(sorted(glob.glob(os.path.join(directory, "jars", "*.jar")))), *arguments]


def unpack(directory):
    """Jars, a formatted data directory, and the archive of what a broker loads until it ends."""
    jars = os.path.join(directory, "jars")
    done = subprocess.run(["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={jars}",
                           "-DincludeScope=runtime"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Unavailable("Maven could not fetch Kafka:\n" + "\n".join((done.stdout + done.stderr).splitlines()[:5]))
    data = os.path.join(directory, "data")
    config = os.path.join(directory, "format.properties")
    write_config(config, data, (free_port(), free_port()), {})
    done = subprocess.run(java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", config, directory=directory),
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable("Kafka does not format its directory:\n" + done.stdout + done.stderr)


def archive_classes():
    # Where the jars stay: the archive remembers their paths.
    archive = os.path.join(kept(), "classes.jsa")
    if not os.path.exists(archive):
        part = f"{archive}.{os.getpid()}"
        with Broker(jvm=(*JVM, f"-XX:ArchiveClassesAtExit={part}")) as broker:
            broker.create("first", partitions=1)
            broker.stop()
        with contextlib.suppress(OSError):
            os.rename(part, archive)


def prepare():
    """Makes what is kept, if it is not there. Raises Unavailable."""
    if (found := java_version()) < OLDEST_JAVA:
        raise Unavailable(f"Kafka needs Java {OLDEST_JAVA} or newer, " + (f"this is {found}" if found else "there is none"))
    if shutil.which("kcat") is None:
        raise Unavailable("kcat is not installed")
    directory = kept()
    if not os.path.exists(os.path.join(directory, "data", "meta.properties")):
        if shutil.which("mvn") is None:
            raise Unavailable("Maven is not installed (Debian, Ubuntu: maven)")
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        part = tempfile.mkdtemp(prefix="kafka-part-", dir=os.path.dirname(directory))
        try:
            unpack(part)
            os.rename(part, directory)
        except OSError:
            if not os.path.exists(directory):
                raise  # else another was first
        finally:
            shutil.rmtree(part, ignore_errors=True)
    archive_classes()


def need_broker():
    """For tests that break a broker of their own: without the means, every test of this program is skipped."""
    if not os.path.exists(os.path.join(kept(), "data", "meta.properties")) or java_version() < OLDEST_JAVA:
        skip_all("Kafka is not prepared: scripts/kafka.py prepare")


def need_shared():
    """The address of the shared broker; without one, every test of this program is skipped."""
    if VARIABLE not in os.environ:
        skip_all(HOW)
    return os.environ[VARIABLE]


def shared_prefix(name):
    """Before the names of a test's topics in the shared broker, so that no other test has the same."""
    return f"{name}-{secrets.token_hex(4)}."


# --- the guard -------------------------------------------------------------------------------------------------------


def remove(directory):
    signal_all(inhabitants(directory), signal.SIGKILL)
    wait_empty(directory, 5)
    shutil.rmtree(directory, ignore_errors=True)


def guard(directory):
    """The guard's program: waits for the end of the pipe on its standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(directory)


def start_guard(directory):
    return subprocess.Popen([sys.executable, os.path.abspath(__file__), "guard", directory], stdin=subprocess.PIPE, cwd="/",
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


# --- brokers ---------------------------------------------------------------------------------------------------------


def write_config(path, data, ports, options):
    """The broker's properties. One node is enough for every promise that tests ask of it but surviving its disk."""
    settings = {
        "process.roles": "broker,controller", "node.id": 1, "controller.quorum.voters": f"1@127.0.0.1:{ports[1]}",
        "listeners": f"PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports[0]}", "controller.listener.names": "CONTROLLER",
        "log.dirs": data, "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4, "group.initial.rebalance.delay.ms": 0,
        # A broker that was killed comes back when its old session has ended.
        "broker.heartbeat.interval.ms": 250, "broker.session.timeout.ms": 1500,
        "num.network.threads": 2, "num.io.threads": 2, "log.cleaner.dedupe.buffer.size": 8388608, **options}
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(f"{name}={value}\n" for name, value in settings.items()))


class Broker:
    """`options`: settings of server.properties. `base`: a directory of the caller's, who removes it; else a new one.
    `ports`: of the broker and of its controller; else free ones."""

    def __init__(self, options=None, jvm=JVM, base=None, ports=None):
        self.options, self.jvm = options or {}, jvm
        self.base = base or tempfile.mkdtemp(prefix="creditledger-kafka-")
        self.data, self.log_path = os.path.join(self.base, "data"), os.path.join(self.base, "log")
        self.guard = start_guard(self.base) if base is None else None
        self.ports, self.process = ports or (free_port(), free_port()), None
        try:
            shutil.copytree(os.path.join(kept(), "data"), self.data)
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.guard is not None:
            self.guard.stdin.close()
            self.guard.wait()

    @property
    def address(self):
        return f"127.0.0.1:{self.ports[0]}"

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def launch(self):
        """Starts it and does not wait until it takes connections."""
        config = os.path.join(self.base, "server.properties")
        write_config(config, self.data, self.ports, self.options)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(java("kafka.Kafka", config, jvm=self.jvm), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.base, start_new_session=True)

    def listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports[0]), 1):
            return True
        return False

    def start(self):
        """The listener opens when the broker has registered with its controller and caught up with it."""
        self.launch()
        ends = time.monotonic() + START_SECONDS
        while not self.listens():
            assert self.process.poll() is None and time.monotonic() < ends, "Kafka does not start:\n" + self.log()[-3000:]
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def create(self, topic, partitions=1, **settings):
        create(self.address, topic, partitions, **settings)


# --- topics ----------------------------------------------------------------------------------------------------------


def tool(name, address, *arguments):
    """Kafka's own command-line tool: TopicCommand or consumer.group.ConsumerGroupCommand; its output."""
    done = subprocess.run(java(f"org.apache.kafka.tools.{name}", "--bootstrap-server", address, *arguments), capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{name} {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


def create(address, topic, partitions=1, **settings):
    """settings: of the topic, with _ for . in their names."""
    more = [word for name, value in settings.items() for word in ("--config", f"{name.replace('_', '.')}={value}")]
    tool("TopicCommand", address, "--create", "--topic", topic, "--partitions", str(partitions), "--replication-factor", "1", *more)


def delete(address, topic):
    tool("TopicCommand", address, "--delete", "--topic", topic)


def metadata(address):
    done = subprocess.run(["kcat", "-b", address, "-L", "-J", "-m", "10"], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def topics(address):
    """Names and numbers of partitions, without Kafka's own."""
    return {t["topic"]: len(t["partitions"]) for t in metadata(address)["topics"] if not t["topic"].startswith("__")}


def produce(address, topic, value, key=None, headers=None, partition=None):
    """One message; a value of None is a tombstone. Nothing of it may hold a newline or the tab that divides key and value."""
    words = [word for name, text in (headers or {}).items() for word in ("-H", f"{name}={text}")]
    words += ["-p", str(partition)] if partition is not None else []
    line = (f"{key}\t" if key is not None else "") + ("" if value is None else value) + "\n"
    done = subprocess.run(["kcat", "-b", address, "-P", "-t", topic, *(["-K", "\t"] if key is not None else []),
                           *(["-Z"] if value is None else []), *words], input=line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Message:
    """`headers` is a dict: none of ours comes twice. key, value: text, or None."""

    def __init__(self, fields):
        self.partition, self.offset, self.timestamp_ms = fields["partition"], fields["offset"], fields["ts"]
        self.key, self.value = fields["key"], fields["payload"]
        pairs = fields.get("headers", [])
        self.headers = dict(zip(pairs[::2], pairs[1::2]))

    def data(self):
        return json.loads(self.value)


def messages(address, topic, committed=True):
    """All messages of a topic until its end, in the order of each partition; those of open or aborted transactions only if
    committed is False."""
    level = "read_committed" if committed else "read_uncommitted"
    reader = subprocess.Popen(["kcat", "-b", address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J",
                               "-X", f"isolation.level={level}", "-X", "fetch.wait.max.ms=20"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in reader.stdout:
            yield Message(json.loads(line))
        assert reader.wait() == 0, reader.stderr.read()
    finally:
        reader.kill()
        reader.communicate()


if __name__ == "__main__":
    assert sys.argv[1:2] == ["guard"], "this program is only the guard; see scripts/kafka.py"
    guard(sys.argv[2])
