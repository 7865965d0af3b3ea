"""kill -9 of a server that projects from its journal, under load, again and again: in the end the read model is the journal's, as
`projections check` sees it, which adds up the journal's entries itself. Rebuilds go on beside it, and are killed too."""
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from crowd import Crowd, fund  # noqa: E402
from live import PROGRAM, SLOWNESS, Node, setting  # noqa: E402
from tap import Tap  # noqa: E402

KILLS = setting("CREDITLEDGER_TEST_KILLS", 6 if SLOWNESS == 1 else 2)
PATIENCE = 30 * max(1, SLOWNESS / 2)


def projections(node, verb, code=0):
    done = node.run("projections", verb, "--json")
    assert code is None or done.returncode == code, f"projections {verb}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def lag(node):
    status = json.loads(projections(node, "status").stdout)
    return sum(ledger["lagRecords"] for ledger in status["ledgers"]), status


def caught_up(node):
    ends = time.monotonic() + PATIENCE
    while (behind := lag(node))[0] != 0:
        assert time.monotonic() < ends, f"the projection does not catch up: {behind}"
        time.sleep(0.05)


def check(node):
    report = json.loads(projections(node, "check").stdout)
    assert report["ok"] and report["differences"] == [], report
    return report


def kill_again_and_again(node, chance):
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 0.8))
        node.kill()
        node.start()


def rebuild_beside(node, chance):
    """Some come to their end, some do not."""
    for i in range(4):
        process = subprocess.Popen([PROGRAM, "projections", "rebuild", *node.where()], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        if i % 2 == 0:
            out, err = process.communicate(timeout=60 * SLOWNESS)
            assert process.returncode == 0 or "another rebuild" in err, (process.returncode, out, err)
        else:
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
            process.communicate()
            time.sleep(5.5)  # its leases


def main():
    tap = Tap()
    chance = random.Random(setting("CREDITLEDGER_TEST_SEED", 0) or None)
    with Node() as node:
        node.start()
        fund(node)
        with tap.point(f"{KILLS} times kill -9 under load: nothing is missing in the read model, nothing doubled"):
            with Crowd([node]) as crowd:
                kill_again_and_again(node, chance)
                crowd.going_on()
            caught_up(node)
            report = check(node)
            assert report["transfers"] > 100, report
        with tap.point("rebuilds beside it, under load, some of them killed"):
            with Crowd([node], think=0.01) as crowd:
                rebuild_beside(node, chance)
                crowd.going_on()
            caught_up(node)
            check(node)
            assert len(lag(node)[1]["generations"]) <= 2
        with tap.point("and it stops cleanly"):
            node.stop_well()
            check(node)
            assert lag(node)[1]["holder"] is None
    tap.done()


main()
