"""Private PostgreSQL clusters for tests: for any user, root included, on a unix socket, gone when the test is.

    with Cluster() as cluster:
        url = cluster.database("mine")      # a new database's URL
        cluster.sql("SELECT 1", url)
        cluster.kill()                      # SIGKILL to the postmaster
        cluster.start()

A cluster is a directory under $TMPDIR with its data, its socket and its log. A guard, a process of its own, holds the read
end of a pipe from the program that made the cluster: when that ends, however it ends, the guard ends whatever works in the
directory and removes it. PostgreSQL refuses to run as root; then it runs as user postgres or nobody. initdb runs once: what it
made is kept in build-tools/ and copied.

Tests that break nothing share one cluster: ./dev test (or `scripts/postgres.py run -- COMMAND`) names it in
CREDITLEDGER_TEST_POSTGRES, and shared_database() makes a database there.
"""
import contextlib
import glob
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from tap import SOURCE, skip_all

VARIABLE = "CREDITLEDGER_TEST_POSTGRES"
OLDEST = 15
PORT = 5432  # of the unix socket: a part of its name
BOUNCER_PORT = 6432
START_SECONDS = 60
HOW = f"needs PostgreSQL: run it by ./dev test, or by scripts/postgres.py run -- COMMAND, which sets {VARIABLE}"


def version_of(directory):
    """The major version of the programs there; 0 if they are not all there."""
    names = ("postgres", "initdb", "pg_basebackup", "pg_ctl", "psql")
    if not all(os.path.exists(os.path.join(directory, name)) for name in names):
        return 0
    out = subprocess.run([os.path.join(directory, "postgres"), "--version"], capture_output=True, text=True, check=True)
    return int(re.search(r"\) (\d+)", out.stdout)[1])


def binaries():
    """The directory of the newest PostgreSQL that will do, or None. Debian's is not in the PATH; others' may be."""
    for places in (glob.glob("/usr/lib/postgresql/*/bin"), os.environ.get("PATH", "").split(":")):
        version, path = max(((version_of(path), path) for path in places if path), default=(0, None))
        if version >= OLDEST:
            return path
    return None


BIN = binaries()


def need_binaries():
    if BIN is None:
        skip_all(f"PostgreSQL {OLDEST} or newer is not installed")


def need_shared():
    """The URL of the shared cluster; without one, every test of this program is skipped."""
    if VARIABLE not in os.environ:
        skip_all(HOW)
    return os.environ[VARIABLE]


def servant():
    """Who runs PostgreSQL: None if we may ourselves, else a user's entry."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def as_servant():
    user = servant()
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give(path):
    """A new file or directory, to whoever runs PostgreSQL."""
    if (user := servant()) is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def run(name, *arguments, **more):
    """A program of PostgreSQL; its output."""
    done = subprocess.run([os.path.join(BIN, name), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          check=False, **as_servant(), **({"cwd": "/", "umask": 0o077} | more))
    assert done.returncode == 0, f"{name} {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


def sql(url, text, role=None):
    """What psql says to it: rows in lines, columns divided by '|'."""
    before = f"SET ROLE {role};\n" if role else ""
    done = subprocess.run([os.path.join(BIN, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url], input=before + text,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"psql: {done.stderr}\n{text[:400]}"
    return done.stdout.rstrip("\n")


def with_database(url, name):
    return re.sub(r"^(\w+://[^/?]*)(/[^?]*)?", lambda match: f"{match[1]}/{name}", url)


def with_user(url, user, password=None):
    parts = urllib.parse.urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    who = urllib.parse.quote(user) + (f":{urllib.parse.quote(password)}" if password else "")
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{who}@{address}"))


def database_of(url):
    return urllib.parse.urlsplit(url).path.lstrip("/")


def make_database(url, name, template=None):
    """A new database in the cluster of `url`, empty or a copy; its URL. Names are made unique."""
    name = f"{re.sub('[^a-z0-9]', '_', name.lower())[:30]}_{secrets.token_hex(4)}"
    sql(with_database(url, "postgres"), f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    return with_database(url, name)


def drop_database(url):
    sql(with_database(url, "postgres"), f"DROP DATABASE IF EXISTS {database_of(url)} WITH (FORCE)")


@contextlib.contextmanager
def shared_database(name, template=None):
    """A database of one's own in the cluster that tests share."""
    url = make_database(need_shared(), name, template)
    try:
        yield url
    finally:
        drop_database(url)


# --- the guard -------------------------------------------------------------------------------------------------------


def inhabitants(directory):
    """The processes that work in a directory: PostgreSQL's all do, and PgBouncer."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            where = os.readlink(f"/proc/{pid}/cwd")
            if (where + "/").startswith(directory + "/") and int(pid) != os.getpid():
                found.append(int(pid))
    return found


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_empty(directory, seconds):
    ends = time.monotonic() + seconds
    while inhabitants(directory):
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True


def remove(directory):
    """Ends what works there and takes the directory away, with the shared memory that a killed postmaster left."""
    # Immediate shutdown: the postmaster still gives its shared memory back.
    signal_all(inhabitants(directory), signal.SIGQUIT)
    if not wait_empty(directory, 5):
        signal_all(inhabitants(directory), signal.SIGKILL)
        wait_empty(directory, 5)
    with contextlib.suppress(OSError, IndexError):
        with open(os.path.join(directory, "data", "postmaster.pid"), encoding="ascii") as file:
            subprocess.run(["ipcrm", "-m", file.read().splitlines()[6].split()[1]], stderr=subprocess.DEVNULL, check=False)
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for place in [line.split()[1] for line in file]:
            if place.startswith(directory + "/"):
                subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(directory, ignore_errors=True)


def guard(directory):
    """The guard's program: waits for the end of the pipe on its standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(directory)


def start_guard(directory):
    # Not in our session, so that what ends this program's group leaves the guard to its work.
    return subprocess.Popen([sys.executable, os.path.abspath(__file__), "guard", directory], stdin=subprocess.PIPE, cwd="/",
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


# --- clusters --------------------------------------------------------------------------------------------------------


def template():
    """The directory that keeps what initdb made."""
    version = subprocess.run([os.path.join(BIN, "initdb"), "--version"], capture_output=True, text=True, check=True).stdout
    return os.path.join(os.environ.get("CREDITLEDGER_TEST_CACHE") or os.path.join(SOURCE, "build-tools"),
                        "postgres-" + re.search(r"\) (\S+)", version)[1])


def init(data):
    run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")


def copy_tree(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)


def make_data(data):
    """A fresh data directory: a copy of the kept one, which is made first if there is none."""
    kept = template()
    if not os.path.exists(os.path.join(kept, "PG_VERSION")):
        init(data)
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            part = tempfile.mkdtemp(prefix="postgres-part-", dir=os.path.dirname(kept))
            os.rmdir(part)
            copy_tree(data, part)
            try:
                os.rename(part, kept)
            except OSError:
                shutil.rmtree(part)  # another was first
        return
    copy_tree(kept, data)
    if (user := servant()) is not None:
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", data], check=True)
    os.chmod(data, 0o700)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """`options`: settings of postgresql.conf. `tcp`: it listens on 127.0.0.1 too, with a password."""

    def __init__(self, tcp=False, options=None, _copy_of=None):
        need_binaries()
        self.base = give(tempfile.mkdtemp(prefix="creditledger-postgres-"))
        self.data, self.log_path = os.path.join(self.base, "data"), os.path.join(self.base, "log")
        self.guard = start_guard(self.base)
        self.process, self.bouncers = None, []
        self.port, self.password = (free_port(), secrets.token_hex(8)) if tcp else (PORT, None)
        # Modest, so that several fit beside each other; every promise of durability as PostgreSQL has it by default.
        self.options = {"shared_buffers": "64MB", "max_connections": "200", "dynamic_shared_memory_type": "mmap", "max_wal_size": "1GB",
                        "log_min_messages": "warning", "logging_collector": "off", "autovacuum_naptime": "10s",
                        **(options or {})}
        try:
            if _copy_of is None:
                make_data(self.data)
            else:
                run("pg_basebackup", "-d", _copy_of, "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            self.start()
            if tcp and _copy_of is None:
                self.sql(f"ALTER ROLE postgres PASSWORD '{self.password}'")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for bouncer in self.bouncers:
            bouncer.stop()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        self.guard.stdin.close()
        self.guard.wait()

    def url(self, database="postgres", user="postgres"):
        """Over the unix socket, where everybody is trusted who can reach it."""
        return f"postgres://{user}@/{database}?host={urllib.parse.quote(self.base, safe='/')}&port={self.port}"

    def tcp_url(self, database="postgres", user="postgres", password=None, port=None):
        return f"postgres://{user}:{password or self.password}@127.0.0.1:{port or self.port}/{database}"

    def sql(self, text, database="postgres", role=None):
        return sql(database if "://" in database else self.url(database), text, role)

    def database(self, name="ledger", template=None):
        return make_database(self.url(), name, template)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def launch(self):
        """Starts the postmaster and does not wait until it takes connections."""
        settings = {"unix_socket_directories": self.base, "port": self.port,
                    "listen_addresses": "127.0.0.1" if self.password else "", **self.options}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([os.path.join(BIN, "postgres"), "-D", self.data, *arguments], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.base, umask=0o077, start_new_session=True,
                                            **as_servant())

    def ready(self):
        """What postmaster.pid says of this process (its eighth line)."""
        with contextlib.suppress(OSError):
            with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as file:
                lines = file.read().splitlines()
            return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() in ("ready", "standby")
        return False

    def start(self):
        """After kill() the old backends may still hold its shared memory for a moment: then again."""
        ends = time.monotonic() + START_SECONDS
        self.launch()
        while not self.ready():
            assert time.monotonic() < ends, "PostgreSQL does not start:\n" + self.log()[-3000:]
            if self.process.poll() is not None:
                assert "pre-existing shared memory" in self.log()[-600:], "PostgreSQL does not start:\n" + self.log()[-3000:]
                time.sleep(0.05)
                self.launch()
            time.sleep(0.005)

    def stop(self, mode="fast"):
        self.process.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        self.process.wait()

    def kill(self):
        """SIGKILL to the postmaster; its backends notice by themselves and end."""
        self.process.kill()
        self.process.wait()

    def crash(self):
        """SIGKILL to all of it at once, as when its machine dies."""
        signal_all(inhabitants(self.data), signal.SIGSTOP)
        signal_all(inhabitants(self.data), signal.SIGKILL)
        self.process.wait()

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def backends(self, where="true"):
        """Process ids of client connections."""
        return [int(pid) for pid in self.sql(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND "
            f"{where}").split()]

    def set(self, **settings):
        """ALTER SYSTEM for all sessions from now on. Options of the constructor cannot be changed so."""
        for name, value in settings.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")

    def replica(self, synchronous=False):
        """A cluster that follows this one, which waits for it at each commit if it is synchronous."""
        follower = Cluster(tcp=False, options=self.options, _copy_of=self.url())
        if synchronous:
            self.set(synchronous_standby_names="*")
            ends = time.monotonic() + START_SECONDS
            while self.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1":
                assert time.monotonic() < ends, "the replica does not follow:\n" + follower.log()[-2000:]
                time.sleep(0.02)
        return follower

    def promote(self):
        run("pg_ctl", "promote", "-D", self.data, "-w")

    def bouncer(self, *, users=("postgres",), settings=None):
        bouncer = Bouncer(self, users, settings or {})
        self.bouncers.append(bouncer)
        return bouncer


class Bouncer:
    """PgBouncer in front of a cluster, in transaction mode, on a unix socket of its own."""

    def __init__(self, cluster, users, settings):
        self.program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        self.base = give(tempfile.mkdtemp(prefix="bouncer-", dir=cluster.base))
        self.log_path = os.path.join(self.base, "log")
        config = {"unix_socket_dir": self.base, "listen_port": BOUNCER_PORT, "auth_type": "trust",
                  "auth_file": os.path.join(self.base, "users"), "pool_mode": "transaction", "default_pool_size": 20,
                  "server_login_retry": 1,
                  "max_client_conn": 200, "admin_users": "postgres", **settings}
        self._write("users", "".join(f'"{user}" ""\n' for user in users))
        self._write("bouncer.ini", f"[databases]\n* = host={cluster.base} port={cluster.port}\n[pgbouncer]\n" +
                    "".join(f"{name} = {value}\n" for name, value in config.items()))
        self.start()

    def _write(self, name, text):
        path = os.path.join(self.base, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        give(path)

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program, os.path.join(self.base, "bouncer.ini")], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.base, start_new_session=True, **as_servant())
        ends = time.monotonic() + START_SECONDS
        while not os.path.exists(os.path.join(self.base, f".s.PGSQL.{BOUNCER_PORT}")):
            with open(self.log_path, encoding="utf-8") as log:
                assert self.process.poll() is None and time.monotonic() < ends, "PgBouncer does not start:\n" + log.read()
            time.sleep(0.005)

    def stop(self):
        if self.process.poll() is None:
            # SIGQUIT may be ignored (in the background of a shell), SIGTERM waits for clients from 1.23 on.
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.base, f".s.PGSQL.{BOUNCER_PORT}"))

    def url(self, database="postgres", user="postgres"):
        return f"postgres://{user}@/{database}?host={urllib.parse.quote(self.base, safe='/')}&port={BOUNCER_PORT}"

    def admin(self, text):
        return sql(self.url("pgbouncer"), text)


if __name__ == "__main__":
    assert sys.argv[1:2] == ["guard"], "this program is only the guard; see scripts/postgres.py"
    guard(sys.argv[2])
