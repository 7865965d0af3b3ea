#!/usr/bin/env python3
"""What other tests rely on: the broker that tests start keeps what it took when it is killed, and nothing of it outlives whoever
started it."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import kafka  # noqa: E402
import under  # noqa: E402
from postgres import inhabitants  # noqa: E402
from tap import SOURCE, Tap  # noqa: E402

kafka.need_broker()


def check_broker(tap):
    with kafka.Broker() as broker:
        broker.create("mine", partitions=3, retention_ms=-1)
        with tap.point("messages are read as they were written"):
            kafka.produce(broker.address, "mine", '{"a":1}', key="k", headers={"ce_id": "x:1"})
            kafka.produce(broker.address, "mine", None, key="k")
            first, second = kafka.messages(broker.address, "mine")
            assert (first.key, first.data(), first.headers) == ("k", {"a": 1}, {"ce_id": "x:1"})
            assert (second.key, second.value) == ("k", None) and second.offset == first.offset + 1
        for name, stop in (("killed", broker.kill), ("stopped", broker.stop)):
            with tap.point(f"they are there when it was {name}"):
                stop()
                broker.start()
                assert len(list(kafka.messages(broker.address, "mine"))) == 2
        with tap.point("topics are made by who wants them, and go"):
            assert kafka.topics(broker.address) == {"mine": 3}
            kafka.delete(broker.address, "mine")
            assert not kafka.topics(broker.address)
        base = broker.base
    tap.check("nothing is left", [base] if os.path.exists(base) or inhabitants(base) else [])


def check_guard(tap):
    with tap.point("a broker ends with the program that started it, even if that is killed"):
        script = os.path.join(SOURCE, "scripts", "kafka.py")
        # The command prints where the broker lives, which its configuration says.
        command = [sys.executable, script, "run", "--", "sh", "-c", f"echo ${kafka.VARIABLE}; exec sleep 600"]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=under.end_with_parent)
        address = program.stdout.readline().strip()
        assert kafka.topics(address) == {}
        program.kill()
        program.wait()
        ends = time.monotonic() + 20
        while subprocess.run(["kcat", "-b", address, "-L", "-m", "1"], capture_output=True, check=False).returncode == 0:
            assert time.monotonic() < ends, "it goes on"
            time.sleep(0.1)


def main():
    tap = Tap()
    check_broker(tap)
    check_guard(tap)
    tap.done()


main()
