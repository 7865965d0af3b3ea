"""For scripts that run a command beside a service of theirs, and let neither outlive the other."""
import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def end_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_by_exit():
    """Signals that ask this program to end become Python's own way out, with what `finally` and `with` have to do."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    end_with_parent()


def run(command, **variables):
    """The command's exit code. It gets the signals that ask this program to end, and ends with it in any case."""
    child = subprocess.Popen(command, env={**os.environ, **variables}, preexec_fn=end_with_parent)
    # A terminal sends SIGINT to both by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    code = child.wait()
    return code if code >= 0 else 128 - code
