"""The Test Anything Protocol for tests written in Python.

    tap = Tap()
    with tap.point("the name"):
        assert ...
    tap.done()

A point that raises Skip is a skip, one that raises anything else has failed; the reason is printed below it.
"""
import contextlib
import os
import sys
import traceback

SOURCE = os.environ.get("CREDITLEDGER_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("CREDITLEDGER_BUILD") or os.path.join(SOURCE, "build")


class Skip(Exception):
    pass


class Tap:
    def __init__(self):
        self.points = 0
        self.failed = 0

    @contextlib.contextmanager
    def point(self, name):
        self.points += 1
        label = f"{self.points} - {name}"
        try:
            yield
        except Skip as reason:
            print(f"ok {label} # SKIP {reason}", flush=True)
        except AssertionError as error:
            self._fail(label, str(error) or traceback.format_exc())
        except Exception:
            self._fail(label, traceback.format_exc())
        else:
            print(f"ok {label}", flush=True)

    def _fail(self, label, why):
        self.failed += 1
        print(f"not ok {label}", flush=True)
        for line in why.splitlines():
            print(f"# {line}", flush=True)

    def check(self, name, problems):
        """A point that fails with the list of problems, if there are any."""
        with self.point(name):
            problems = list(problems)
            assert not problems, "\n".join(str(p) for p in problems)

    def done(self):
        print(f"1..{self.points}", flush=True)
        sys.exit(1 if self.failed else 0)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()
