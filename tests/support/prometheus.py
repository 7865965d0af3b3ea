"""A private Prometheus for tests and for ./dev up: on a free port of 127.0.0.1, with the rules and the scrape job of
deploy/prometheus/, and the targets it is given.

    with Prometheus({"api-1": "127.0.0.1:4001"}) as prometheus:
        prometheus.query("up")
"""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

from postgres import free_port
from tap import SOURCE, read, skip_all
from under import end_with_parent

UNPACKED = os.path.join(SOURCE, "build-tools", "prometheus", "usr", "bin")
DEPLOY = os.path.join(SOURCE, "deploy", "prometheus")
START_SECONDS = 60


def program(name):
    """prometheus or promtool: what ./dev test has unpacked, or what is installed; None."""
    unpacked = os.path.join(UNPACKED, name)
    return unpacked if os.path.exists(unpacked) else shutil.which(name)


def need_programs():
    if not (program("prometheus") and program("promtool")):
        skip_all("Prometheus is not here: ./dev test unpacks it")


class Prometheus:
    """`targets`: address by name; what is scraped from one bears the name as label `process`. `base`: a directory of the caller's."""

    def __init__(self, targets, interval="1s", port=None, base=None):
        self.own = base is None
        self.base = base or tempfile.mkdtemp(prefix="creditledger-prometheus-")
        self.address, self.log_path = f"127.0.0.1:{port or free_port()}", os.path.join(self.base, "log")
        config = yaml.safe_load(read("deploy/prometheus/prometheus.yml"))
        config["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
        config["rule_files"] = [os.path.join(DEPLOY, name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [address], "labels": {"process": name}}
                                                         for name, address in targets.items()]
        with open(os.path.join(self.base, "prometheus.yml"), "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [program("prometheus"), "--config.file", os.path.join(self.base, "prometheus.yml"), "--storage.tsdb.path",
                 os.path.join(self.base, "data"), "--web.listen-address", self.address, "--log.level", "warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.base, start_new_session=True, preexec_fn=end_with_parent)
        try:
            self.wait_ready()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.own:
            shutil.rmtree(self.base, ignore_errors=True)

    def wait_ready(self):
        ends = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                assert self.process.poll() is None and time.monotonic() < ends, "Prometheus does not start:\n" + log.read()[-3000:]
            time.sleep(0.05)

    def get(self, path, **parameters):
        """`data` of an answer of its API; its error is raised."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                body = json.load(answer)
        except urllib.error.HTTPError as error:
            body = json.load(error)
        assert body["status"] == "success", f"{parameters}: {body}"
        return body["data"]

    def query(self, expression):
        """What it is now: [(labels, value)]."""
        return [(one["metric"], float(one["value"][1])) for one in self.get("query", query=expression)["result"]]

    def names(self):
        """Of all metrics there are."""
        return set(self.get("label/__name__/values"))

    def targets(self):
        """Health by name of the process: up, down, unknown."""
        return {one["labels"]["process"]: one["health"] for one in self.get("targets")["activeTargets"]}

    def wait_targets(self, seconds=30):
        ends = time.monotonic() + seconds
        while set(self.targets().values()) != {"up"}:
            assert time.monotonic() < ends, f"not all targets are up: {self.targets()}"
            time.sleep(0.1)
