#!/usr/bin/env python3
"""Builds the Debian package, installs it into a clean root, runs it there under systemd by its own unit, and takes it away
again: the data must stay."""
import glob
import hashlib
import os
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "docs"), HERE]
import paste  # noqa: E402
from clean_root import CleanRoot, Unavailable, run  # noqa: E402
from tap import SOURCE, Skip, Tap, read, skip_all  # noqa: E402

UNIT = "creditledger.service"
ENV = "/etc/creditledger/creditledger.env"
DATA = "/var/lib/creditledger"
# Hints of lintian that are not wanted; what is overridden stands with its reason in deploy/debian/creditledger.lintian-overrides.
NOT_WANTED = {"package-supports-alternative-init-but-no-init.d-script"}


def build(directory):
    """The package, in that directory."""
    done = run(os.path.join(SOURCE, "dev"), "package", directory, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    return glob.glob(directory + "/creditledger_*.deb")[0]


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def settings(text):
    return set(re.findall(r"^#?(CREDITLEDGER_\w+)=", text, re.M))


def check_package(tap, package, again):
    with tap.point("the same sources give the same bytes"):
        assert digest(package) == digest(again)
    with tap.point("lintian finds nothing"):
        if not shutil.which("lintian"):
            raise Skip("lintian is not installed")
        said = run("lintian", "--allow-root", "--display-info", "--pedantic", package, check=False).stdout.splitlines()
        found = [line for line in said if re.match(r"[EWIP]:", line) and not any(tag in line for tag in NOT_WANTED)]
        assert not found, "\n".join(found)
    with tap.point("libraries are dependencies, as the linker sees them"):
        depends = run("dpkg-deb", "-f", package, "Depends").stdout
        missing = [name for name in ("libc6 ", "libmicrohttpd", "libsqlite3", "libpq", "libjansson", "libssl") if name not in depends]
        assert not missing, f"{missing} are not in {depends}"
    with tap.point("its version is meson's"):
        version = re.search(r"^  version: '(.*)',$", read("meson.build"), re.M)[1]
        assert run("dpkg-deb", "-f", package, "Version").stdout.strip() == version


def stat(root, path):
    return root.run("stat", "-c", "%U:%G %a", path).stdout.strip()


def check_installed(tap, root, package):
    with tap.point("it installs into a clean root, from nothing but its dependencies"):
        root.install(package)
        assert stat(root, DATA) == "creditledger:creditledger 700", stat(root, DATA)
        assert stat(root, ENV) == "root:creditledger 640", stat(root, ENV)
        assert stat(root, "/etc/creditledger") == "root:creditledger 750", stat(root, "/etc/creditledger")
        assert root.run("getent", "passwd", "creditledger").stdout.strip().endswith(":/usr/sbin/nologin")
    with tap.point("every setting of the server is in the file, switched off, and the file stays on upgrades"):
        with open(root.at(ENV), encoding="utf-8") as file:
            text = file.read()
        told, real = settings(text), set(re.findall(r"CREDITLEDGER_\w+", root.run("creditledger", "serve", "--help").stdout))
        assert told == real, f"not in the file: {sorted(real - told)}; not in the program: {sorted(told - real)}"
        assert not re.search(r"^CREDIT", text, re.M), "something is switched on"
        assert ENV in root.run("dpkg-query", "-W", "-f", "${Conffiles}", "creditledger").stdout
    with tap.point("completions complete"):
        script = ". /usr/share/bash-completion/completions/creditledger; COMP_WORDS=(creditledger ser); COMP_CWORD=1; " \
                 "_creditledger; echo \"${COMPREPLY[@]}\""
        assert root.run("bash", "-c", script).stdout.strip() == "serve"
        if not shutil.which("zsh"):
            raise Skip("zsh is not installed")
        run("zsh", "-n", root.at("/usr/share/zsh/vendor-completions/_creditledger"))
    with tap.point("the manual has every command"):
        pages = glob.glob(root.at("/usr/share/man/man1/creditledger.1.gz"))
        # A clean root may be told to leave documentation out.
        if not pages:
            raise Skip("this root takes no manual pages")
        text = run("zcat", pages[0]).stdout
        names = re.findall(r"^  (\S+)  ", root.run("creditledger", "--help").stdout, re.M)
        assert names and not [n for n in names if f".SS {n}".replace("-", r"\-") not in text]


def main_process(machine):
    return machine.run("systemctl", "show", "-p", "MainPID", "--value", UNIT).stdout.strip()


def balance(machine, account):
    return machine.run("curl", "-sS", f"localhost:4000/accounts/ext:{account}/balance").stdout


def post(machine, path, body, method="POST"):
    return machine.run("curl", "-sS", "-X", method, "--json", body, "localhost:4000" + path).stdout


def check_units(tap, machine):
    with tap.point("systemd has no complaint about the units"):
        machine.run("cp", "/lib/systemd/system/creditledger@.service", "/tmp/creditledger@api.service")
        for unit in ("/lib/systemd/system/creditledger.service", "/tmp/creditledger@api.service"):
            said = machine.run("systemd-analyze", "verify", "--man=no", unit).stdout.strip()
            assert said == "", said
    with tap.point("the service says that it is ready, as a user without any privilege"):
        assert machine.run("systemctl", "is-active", UNIT).stdout.strip() == "active"
        status = machine.run("cat", f"/proc/{main_process(machine)}/status").stdout
        assert re.search(r"^CapBnd:\s+0+$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M), status
        assert re.search(r"^Seccomp:\s+2$", status, re.M), status
        uid = machine.run("id", "-u", "creditledger").stdout.strip()
        assert re.search(rf"^Uid:\s+{uid}\s", status, re.M), status
    with tap.point("systemd finds it well confined"):
        said = machine.run("systemd-analyze", "security", "--threshold=20", "--no-pager", UNIT, check=False)
        assert said.returncode == 0, said.stdout[-2000:]


def check_service(tap, machine):
    paste.check(tap, "README, against the service", list(paste.run(read("README.md"), 4000, [*machine.enter(), *paste.BASH])))
    with tap.point("killed, it comes again, with everything that it had acknowledged"):
        post(machine, "/accounts", '{"currency":"USD","externalId":"kept"}')
        post(machine, "/accounts/ext:kept/credits", '{"amount":4711,"idempotencyKey":"kept"}')
        before = main_process(machine)
        machine.run("kill", "-KILL", before)
        machine.run("sh", "-c", "for i in $(seq 100); do curl -fs localhost:4000/readyz && exit; sleep 0.1; done; exit 1")
        assert main_process(machine) != before
        assert '"balance":4711' in balance(machine, "kept"), balance(machine, "kept")
    with tap.point("settings apply after a restart, tokens after a reload"):
        machine.run("sh", "-c", f"creditledger token ops --file /etc/creditledger/tokens >/tmp/token && chgrp creditledger "
                    f"/etc/creditledger/tokens && chmod 640 /etc/creditledger/tokens && "
                    f"echo CREDITLEDGER_TOKEN_FILE=/etc/creditledger/tokens >>{ENV} && systemctl restart {UNIT}")
        assert '"status":401' in balance(machine, "kept"), balance(machine, "kept")
        machine.run("systemctl", "reload", UNIT)
        assert machine.run("systemctl", "is-active", UNIT).stdout.strip() == "active"
        machine.run("sh", "-c", f"sed -i s/^CREDITLEDGER_TOKEN_FILE/#OFF_TOKEN_FILE/ {ENV} && systemctl restart {UNIT}")
        assert '"balance":4711' in balance(machine, "kept"), balance(machine, "kept")
    with tap.point("stopped, it leaves by itself and in time"):
        machine.run("systemctl", "stop", UNIT)
        assert machine.run("systemctl", "show", "-p", "Result", "--value", UNIT).stdout.strip() == "success"
        verified = machine.run("runuser", "-u", "creditledger", "--", "creditledger", "verify", "--data", DATA)
        assert verified.returncode == 0, verified.stdout
        machine.run("systemctl", "start", UNIT)
    with tap.point("a role is a unit of its own"):
        if "--roles" not in machine.run("creditledger", "serve", "--help").stdout:
            raise Skip("this program has no roles yet")
        machine.run("systemctl", "start", "creditledger@api")
        assert machine.run("systemctl", "is-active", UNIT, check=False).stdout.strip() == "inactive", "both run"
        assert '"balance":4711' in balance(machine, "kept"), balance(machine, "kept")
        machine.run("systemctl", "stop", "creditledger@api")
        machine.run("systemctl", "start", UNIT)


def newer(package, directory):
    """The same package, with a higher version."""
    tree = directory + "/newer"
    run("dpkg-deb", "-R", package, tree)
    with open(tree + "/DEBIAN/control", encoding="utf-8") as file:
        text = file.read()
    with open(tree + "/DEBIAN/control", "w", encoding="utf-8") as file:
        file.write(re.sub(r"^Version: (.*)$", r"Version: \1+newer", text, flags=re.M))
    path = directory + "/newer.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, path)
    return path


def check_upgrade_and_removal(tap, root, machine, package):
    shutil.copy(package, root.at("/package.deb"))
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(newer(package, directory), root.at("/newer.deb"))
    with tap.point("an upgrade restarts the service and keeps settings and data"):
        before = main_process(machine)
        machine.run("dpkg", "-i", "/newer.deb")
        assert main_process(machine) not in (before, "0")
        assert '"balance":4711' in balance(machine, "kept"), balance(machine, "kept")
        assert "OFF_TOKEN_FILE" in machine.run("cat", ENV).stdout
    with tap.point("removal stops the service and leaves data and settings"):
        machine.run("dpkg", "-r", "creditledger")
        assert machine.run("pgrep", "-x", "creditledger", check=False).returncode != 0, "it still runs"
        assert not os.path.exists(root.at("/usr/bin/creditledger"))
        assert os.path.exists(root.at(DATA + "/ledger.db")) and os.path.exists(root.at(ENV))
    with tap.point("so does a purge that nobody answers, but for the settings"):
        machine.run("dpkg", "-P", "creditledger")
        assert os.path.exists(root.at(DATA + "/ledger.db"))
        assert not os.path.exists(root.at(ENV)) and os.path.exists(root.at("/etc/creditledger/tokens"))
    with tap.point("installed again, it goes on where it was"):
        machine.run("dpkg", "-i", "/package.deb")
        assert '"balance":4711' in balance(machine, "kept"), balance(machine, "kept")
    with tap.point("a purge that is told to deletes the data"):
        machine.run("sh", "-c", "echo creditledger creditledger/purge-data boolean true | debconf-set-selections && "
                    "dpkg -P creditledger")
        assert not os.path.exists(root.at(DATA)), os.listdir(root.at(DATA))


def main():
    if not all(shutil.which(tool) for tool in ("dpkg-buildpackage", "dh", "unshare", "nsenter")):
        skip_all("packages cannot be built here: dpkg-buildpackage, debhelper, unshare and nsenter are needed")
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="creditledger-package-") as directory:
        package = None
        with tap.point("the package is built"):
            package = build(directory + "/one")
        if package is None:
            tap.done()
        check_package(tap, package, build(directory + "/another"))
        try:
            with CleanRoot() as root:
                check_installed(tap, root, package)
                root.install("systemd", "curl", "procps")
                with root.booted() as machine:
                    check_units(tap, machine)
                    check_service(tap, machine)
                    check_upgrade_and_removal(tap, root, machine, package)
        except Unavailable as reason:
            with tap.point("in a clean root"):
                raise Skip(str(reason))
    tap.done()


main()
