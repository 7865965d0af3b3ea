"""A Debian with nothing in it, to install into, and to boot with its own systemd: no container engine, root and a Linux that lets
it make namespaces are enough.

    with CleanRoot() as root:
        root.install("/path/to/package.deb")
        with root.booted() as machine:
            machine.run("systemctl", "is-active", "creditledger")

It is of the release that runs here, so that what is built here fits, or of another that is named. debootstrap's result is kept in
build-tools/. What is started in here ends with the test.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

from tap import SOURCE

DEBIAN_12 = "bookworm"
# In the machine's new namespaces, before its systemd takes over.
BOOT = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"; done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t mqueue mqueue dev/mqueue
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --show-status=0
"""


class Unavailable(Exception):
    """There can be no such thing here, for the reason given."""


def run(*command, check=True, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if check:
        assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}"
    return done


def running_release():
    """Its code name, and what else debootstrap has to be told."""
    with open("/etc/os-release", encoding="utf-8") as file:
        told = dict(line.strip().split("=", 1) for line in file if "=" in line)
    name, family = told.get("VERSION_CODENAME", ""), told.get("ID", "")
    if not name or family not in ("debian", "ubuntu"):
        raise Unavailable("this is neither Debian nor Ubuntu")
    return name.strip('"'), ["--components=main,universe"] if family == "ubuntu" else []


def prepare(release):
    """The path of debootstrap's result, which is made once."""
    if os.geteuid() != 0:
        raise Unavailable("only root can make a clean root")
    name, options = (release, []) if release else running_release()
    kept = os.path.join(SOURCE, "build-tools", f"debian-{name}.tar")
    if os.path.exists(kept):
        return kept
    if not shutil.which("debootstrap"):
        raise Unavailable("debootstrap is not installed")
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        made = run("debootstrap", "--variant=minbase", *options, name, directory, check=False)
        if made.returncode != 0:
            raise Unavailable("debootstrap failed, is there a way to the archive? " + made.stdout.strip().splitlines()[-1])
        part = f"{kept}.{os.getpid()}"
        run("tar", "-C", directory, "-cf", part, ".")
        os.rename(part, kept)
    return kept


class CleanRoot:
    def __init__(self, release=None):
        kept = prepare(release)
        self.path = tempfile.mkdtemp(prefix="creditledger-root-")
        self.updated = False
        run("tar", "-C", self.path, "-xf", kept)
        os.chmod(self.path, 0o755)  # behind tar, which gives it the mode of where it was made
        shutil.copy("/etc/resolv.conf", self.path + "/etc/resolv.conf")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def at(self, path):
        return self.path + path

    def run(self, *command, check=True, **variables):
        """In the root, with processes and mounts of its own, of which nothing stays."""
        inner = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **variables}
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inner, self.path, *command, check=check,
                   env=environment)

    def install(self, *packages):
        """Names, or files from outside."""
        names = []
        for package in packages:
            if os.path.exists(package):
                shutil.copy(package, self.path)
                package = "/" + os.path.basename(package)
            names.append(package)
        if not self.updated:
            if self.run("apt-get", "update", "-q", check=False).returncode != 0:
                raise Unavailable("the Debian archive cannot be reached from the clean root")
            self.updated = True
        return self.run("apt-get", "install", "-y", "-q", "--no-install-recommends", *names)

    @contextlib.contextmanager
    def booted(self):
        machine = Machine(self.path)
        try:
            machine.boot()
            yield machine
        finally:
            machine.end()


class Machine:
    """Processes, mounts, network and cgroups of its own under the root's systemd."""

    def __init__(self, path):
        self.path, self.process, self.init = path, None, None
        self.group = os.path.join(own_group(), f"creditledger-test-{os.getpid()}")

    def boot(self):
        os.mkdir(self.group)

        def enter():
            with open(self.group + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
        with open(self.path + "/boot.log", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "sh", "-c", BOOT,
                 "boot", self.path], stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=enter)
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        until = time.monotonic() + 60
        while True:
            if self.process.poll() is not None or time.monotonic() > until:
                with open(self.path + "/boot.log", encoding="utf-8", errors="replace") as file:
                    raise Unavailable("a systemd of its own does not start here: " + file.read().strip()[-300:])
            with open(children, encoding="ascii") as file:
                self.init = next(iter(file.read().split()), None)
            # While it boots the answer is "initializing" or "starting".
            if self.init and self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.2)

    def enter(self):
        """What a command is prefixed with to run in here."""
        return ["nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-n"]

    def run(self, *command, check=True):
        return run(*self.enter(), *command, check=check,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})

    def end(self):
        if self.process is not None:
            if self.process.poll() is None:
                os.kill(self.process.pid, signal.SIGKILL)  # its child, the machine's first process, goes with it
            self.process.wait()
        until = time.monotonic() + 10
        while os.path.isdir(self.group):
            for directory, _, _ in os.walk(self.group, topdown=False):
                with contextlib.suppress(OSError):  # somebody is still in there
                    os.rmdir(directory)
            if time.monotonic() > until:
                break
            time.sleep(0.05)


def own_group():
    """The directory of the cgroup that this process is in."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        inner = next((line[3:].strip() for line in file if line.startswith("0::")), None)
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounted = next((line.split()[1] for line in file if line.split()[2] == "cgroup2"), None)
    if inner is None or mounted is None:
        raise Unavailable("there is no cgroup2 here")
    return os.path.join(mounted, inner.lstrip("/"))
