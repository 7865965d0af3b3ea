"""The programs that measure still work: everything they measure, tiny, over each database. The figures mean nothing here; that
each part is there, sound and compared with what it should be does, and that what is wrong is told."""
import argparse
import io
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tests", "support"), os.path.join(HERE, "baseline_postgres"), HERE]
import baseline  # noqa: E402
import load  # noqa: E402
import measure  # noqa: E402
import postgres  # noqa: E402
from tap import BUILD, Skip, Tap  # noqa: E402

TINY = ["--quick", "--accounts", "50", "--transfers", "300", "--seconds", "1"]


def run(database, *options):
    """What run.py says and writes."""
    with tempfile.TemporaryDirectory(prefix="creditledger-bench-") as directory:
        path = os.path.join(directory, "all.json")
        done = subprocess.run([sys.executable, os.path.join(HERE, "run.py"), "--build", BUILD, "--database", database, "--json", path,
                               "--dir", os.path.join(directory, "data"), *TINY, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    assert report["sound"] and report["parts"], report
    for name, rounds in report["parts"].items():
        assert name in done.stdout, f"{name} is not in the table"
        for each in rounds:
            assert each["transfersPerSecond"] > 0 and not each.get("missing"), f"{name}: {each}"
    for name, ratio in report["ratios"].items():
        assert ratio["ratio"] > 0 and ratio["target"] > 0 and ratio["of"] in report["parts"], f"{name}: {ratio}"
    return done.stdout, report


def check_postgres():
    import over_postgres
    text, report = run("postgres", "--processes", "1,2")
    assert set(report["ratios"]) == set(over_postgres.targets([1, 2])), report["ratios"]
    assert len(report["comparisons"]) == len(over_postgres.COMPARISONS), report["comparisons"]
    for name in over_postgres.SHOWN:
        assert name in report["settings"] and name in text
    assert report["settings"]["fsync"] == report["settings"]["synchronous_commit"] == "on"
    assert report["disk"]["bytesPerTransfer"] > 100, report["disk"]
    for shape in over_postgres.SHAPES:
        for each in report["parts"][over_postgres.process_name(2, shape)]:
            assert len(each["processes"]) == 2 and abs(sum(p["share"] for p in each["processes"]) - 1) < 0.01
            assert all(p["latencyMs"]["p99"] > 0 for p in each["processes"])
            assert all(each["processor"][kind] > 0 for kind in ("servers", "postgres")), each["processor"]
            assert each["walBytes"] > 100, each


def check_baseline():
    """A hand-written ledger's money is really looked at."""
    with postgres.Cluster() as cluster:
        url = cluster.database()
        result = baseline.measure(url, accounts=10, clients=4, seconds=1)
        assert result["transfers"] > 0 and result["problems"] == [], result
        before = baseline.transfers_written(url)
        assert list(baseline.audit(url, 0, before)) == []
        assert any("acknowledged" in p for p in baseline.audit(url, 1, before))
        cluster.sql("UPDATE account SET balance = balance + CASE id WHEN 1 THEN 7 ELSE -7 END WHERE id < 3", url)
        assert any("2 accounts" in p for p in baseline.audit(url, 0, before))
        cluster.sql("UPDATE account SET balance = balance + 1 WHERE id = 3", url)
        assert any("sum" in p for p in baseline.audit(url, 0, before))


def program(name, *options):
    """What it writes; that it was right is in its exit code."""
    with tempfile.TemporaryDirectory(prefix="creditledger-bench-") as directory:
        path = os.path.join(directory, "all.json")
        done = subprocess.run([sys.executable, os.path.join(HERE, name), "--build", BUILD, "--json", path, *options],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        with open(path, encoding="utf-8") as file:
            return json.load(file)


def check_pipeline():
    """Over the embedded default: with Kafka the same road is what tests/kafka is for."""
    for part in program("pipeline.py", "--database", "sqlite", "--rates", "50", "--seconds", "1", "--accounts", "50", "--on"):
        assert part["sound"] and part["probes"] > 0 and part["lagMs"]["p95"] >= 0 and part["transfersPerSecond"] > 0, part


def check_rebuild():
    result = program("rebuild.py", "--transfers", "3000", "--accounts", "50", "--rate", "50")
    assert result["answers"] > 0 and not result["wrong"] and result["rebuild"]["records"] >= 3000, result


def check_faults():
    """A missing transfer, a problem or no transfers at all make the run unsound."""
    def judge(result):
        silence = argparse.Namespace(build=BUILD, progress=io.StringIO())
        judged = measure.Run(silence, {})
        judged.add("part", result)
        return judged.sound

    good = {"transfersPerSecond": 10.0, "transfers": 10, "missing": 0, "latencyMs": {"p99": 1.0}}
    assert judge(good) and judge(load.combine([good, good], []))
    for bad in ({"missing": 1}, {"transfersPerSecond": 0}, {"errors": {"503": 1}}):
        assert not judge(load.combine([good, good | bad] if "transfersPerSecond" not in bad else [good | bad], [])), bad
    assert not judge(load.combine([good], ["a client ended with 1"]))


def main():
    tap = Tap()
    with tap.point("what is wrong is told"):
        check_faults()
    with tap.point("everything over SQLite"):
        run("sqlite")
    with tap.point("the road from the POST to the read model's row"):
        check_pipeline()
    with tap.point("a rebuild beside load, its answers held against the journal"):
        check_rebuild()
    for name, check in (("everything over PostgreSQL", check_postgres), ("the hand-written ledger is audited", check_baseline)):
        with tap.point(name):
            if postgres.BIN is None:
                raise Skip(f"PostgreSQL {postgres.OLDEST} or newer is not installed")
            check()
    tap.done()


main()
