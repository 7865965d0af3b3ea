#!/usr/bin/env python3
"""Holds what is in deploy/ against the program, the packages it is built with, and each other, as far as that goes without
containers: options, roles, ports, paths, names, times."""
import os
import re
import shutil
import subprocess
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import postgres  # noqa: E402
from tap import BUILD, SOURCE, Skip, Tap, read, skip_all  # noqa: E402

try:
    import yaml
except ImportError:
    skip_all("python3-yaml is not installed")

PROGRAM = os.path.join(BUILD, "creditledger")
COMPOSE = ["deploy/compose/all-in-one.yml", "deploy/compose/production.yml"]
PORT = 4000


def said(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True).stdout


def ours(composed):
    return {name: s for name, s in composed["services"].items() if s.get("image") == "creditledger"}


def command(service):
    """Subcommand and arguments; the image's own, if it names none."""
    return service.get("command", ["serve"])


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


def known_options(composed):
    for name, service in ours(composed).items():
        verb, *arguments = command(service)
        text = said(verb, "--help")
        for option in arguments:
            if option.startswith("--") and not re.search(rf"^  {option}\b", text, re.M):
                yield f"{name}: 'creditledger {verb}' has no {option}"
        for variable in service.get("environment", {}):
            if variable.startswith("CREDITLEDGER_") and not re.search(rf"\b{variable}\b", text):
                yield f"{name}: 'creditledger {verb}' does not read {variable}"


def known_roles(composed):
    header = read("src/app/serve_downstream.c") + read("src/app/cmd_serve.c")
    for name, service in ours(composed).items():
        arguments = command(service)
        if "--roles" in arguments:
            for role in arguments[arguments.index("--roles") + 1].split(","):
                if f'"{role}' not in header:
                    yield f"{name}: there is no role {role}"


def known_names(path, composed):
    """Services, volumes and files that one part names and another has."""
    services, volumes = composed["services"], composed.get("volumes", {})
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            if other not in services:
                yield f"{name} depends on {other}"
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if not source.startswith("."):
                if source not in volumes:
                    yield f"{name} mounts volume {source}"
            elif source.startswith("./secrets/"):
                if os.path.basename(source) not in read("deploy/README.md"):
                    yield f"{name} mounts {source}, which deploy/README.md does not explain"
            elif not os.path.exists(os.path.join(SOURCE, os.path.dirname(path), source)):
                yield f"{name} mounts {source}"
        build = service.get("build")
        if build and not os.path.exists(os.path.join(SOURCE, os.path.dirname(path), build["context"], build["dockerfile"])):
            yield f"{name} is built from {build['dockerfile']}"
        for url in re.findall(r"(?:postgres|http)://(?:\w+@)?([\w-]+)", str(service.get("environment", ""))):
            if url not in services:
                yield f"{name} connects to {url}"
    for variable in re.findall(r"\$\{(\w+):\?", read(path)):
        if variable not in read("deploy/README.md"):
            yield f"{variable} is wanted, and deploy/README.md does not say so"


def mounted(service):
    return {mount.split(":")[1] for mount in service.get("volumes", [])}


def ports_agree(composed):
    docker = read("deploy/docker/Dockerfile")
    if f"CREDITLEDGER_LISTEN=0.0.0.0:{PORT}" not in docker or f"EXPOSE {PORT}" not in docker or f"127.0.0.1:{PORT}/readyz" not in docker:
        yield "the Dockerfile's ports differ"
    for name, service in composed["services"].items():
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: {port} is open to everybody"
            if name in ours(composed) and port.split(":")[-1] != str(PORT):
                yield f"{name}: {port}"


def times_agree(composed):
    """What is told to stop gets --grace and the 30 seconds that the server takes at most."""
    grace = int(re.search(r"\(default\s+(\d+);\s+also\s+CREDITLEDGER_GRACE", said("serve", "--help"))[1])
    wanted = grace + int(re.search(r"STOP_EXTRA_MS (\d+)", read("src/app/cmd_serve.c"))[1]) // 1000
    for name, service in ours(composed).items():
        if command(service)[0] == "serve" and seconds(service["stop_grace_period"]) <= wanted:
            yield f"{name} is killed after {service['stop_grace_period']}"
    for unit in ("creditledger.service", "creditledger@.service"):
        if int(re.search(r"^TimeoutStopSec=(\d+)$", read("deploy/debian/" + unit), re.M)[1]) <= wanted:
            yield f"{unit} is killed too early"


def production_fits(composed):
    services = composed["services"]
    servers = {name: s for name, s in ours(composed).items() if command(s)[0] == "serve"}
    watched = yaml.safe_load(read("deploy/compose/prometheus.yml"))
    targets = {t for job in watched["scrape_configs"] for c in job["static_configs"] for t in c["targets"]}
    if targets != {f"{name}:{PORT}" for name in servers}:
        yield f"Prometheus asks {sorted(targets)}"
    prometheus = mounted(services["prometheus"])
    wanted = {"/etc/prometheus/" + rule for rule in watched["rule_files"]}
    wanted |= {job["authorization"]["credentials_file"] for job in watched["scrape_configs"]}
    if not wanted <= prometheus:
        yield f"Prometheus misses {sorted(wanted - prometheus)}"
    if watched["scrape_configs"][0]["job_name"] != yaml.safe_load(read("deploy/prometheus/prometheus.yml"))["scrape_configs"][0]["job_name"]:
        yield "the job has another name than in deploy/prometheus"
    boards = yaml.safe_load(read("deploy/compose/grafana-dashboards.yml"))["providers"][0]["options"]["path"]
    if not any(m.startswith(boards + "/") for m in mounted(services["grafana"])):
        yield f"no dashboard is in {boards}"
    source = yaml.safe_load(read("deploy/compose/grafana-datasource.yml"))["datasources"][0]["url"]
    if urllib.parse.urlsplit(source).hostname not in services:
        yield f"Grafana asks {source}"
    for name, service in servers.items():
        environment = service["environment"]
        if environment["CREDITLEDGER_TOKEN_FILE"] not in mounted(service):
            yield f"{name} has no token file"
        if environment["CREDITLEDGER_KAFKA_BROKERS"] not in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]:
            yield f"{name} asks another broker"
        user = urllib.parse.urlsplit(environment["CREDITLEDGER_DATABASE_URL"]).username
        if user not in command(services["migrate"]) or f"CREATE ROLE {user} " not in read("deploy/compose/postgres-init.sh"):
            yield f"{name} connects as {user}"
    owner = urllib.parse.urlsplit(services["migrate"]["environment"]["CREDITLEDGER_DATABASE_URL"]).username
    if owner != services["postgres"]["environment"]["POSTGRES_USER"]:
        yield f"migrate connects as {owner}"


def packages_agree():
    """What is needed to build is known in three places."""
    here = set(re.search(r"^BUILD_PACKAGES=\((.*?)\)", read("scripts/packages.sh"), re.M | re.S)[1].split())
    build = re.search(r"AS build\n(.*?)WORKDIR", read("deploy/docker/Dockerfile"), re.S)[1]
    yield from (f"Dockerfile: {p}" for p in sorted(here - {"ca-certificates"} - set(build.split())))
    control = re.search(r"^Build-Depends: (.*?)^\w", read("deploy/debian/control"), re.M | re.S)[1]
    told = {entry.split()[0].split(":")[0] for entry in control.split(",")}
    yield from (f"debian/control: {p}" for p in sorted({p for p in here if p.startswith("lib") and p != "libc6-dev"} - told))


def init_role():
    """The script of PostgreSQL's image, against a PostgreSQL."""
    with postgres.Cluster() as cluster:
        url = cluster.database("ledger")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        done = subprocess.run(["sh", os.path.join(SOURCE, "deploy/compose/postgres-init.sh")], capture_output=True, text=True, check=False, env={
            **os.environ, "PGHOST": query["host"][0], "PGPORT": query.get("port", ["5432"])[0], "POSTGRES_USER": "postgres",
            "POSTGRES_DB": postgres.database_of(url), "LEDGER_SERVER_PASSWORD": "it's a \"secret\" $1"})
        assert done.returncode == 0, done.stderr
        subprocess.run([PROGRAM, "migrate", "--database-url", url, "--runtime-role", "ledger_server"], check=True, capture_output=True)
        has = cluster.sql("SELECT rolcanlogin AND rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'ledger_server'")
        assert has.strip() == "t", has


def main():
    tap = Tap()
    for path in COMPOSE:
        name = os.path.basename(path)
        composed = yaml.safe_load(read(path))
        tap.check(f"{name}: options and variables are the program's", known_options(composed))
        tap.check(f"{name}: names have what they name", known_names(path, composed))
        tap.check(f"{name}: ports are the image's, for this machine only", ports_agree(composed))
        tap.check(f"{name}: who is told to stop has the time to", times_agree(composed))
        tap.check(f"{name}: roles are the program's", known_roles(composed))
        with tap.point(f"{name}: Docker reads it"):
            if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
                raise Skip("there is no docker compose here")
            variables = {v: "x" for v in re.findall(r"\$\{(\w+):\?", read(path))}
            subprocess.run(["docker", "compose", "-f", path, "config", "-q"], cwd=SOURCE, check=True, env={**os.environ, **variables})
    tap.check("production.yml: its parts fit", production_fits(yaml.safe_load(read("deploy/compose/production.yml"))))
    tap.check("packages to build with are the same everywhere", packages_agree())
    tap.check("what could not be run says so", (f for f in [*COMPOSE, "deploy/docker/Dockerfile", "deploy/compose/prometheus.yml",
              "deploy/compose/grafana-datasource.yml", "deploy/compose/grafana-dashboards.yml", "deploy/compose/postgres-init.sh"]
              if "untested" not in read(f).lower()))
    with tap.point("PostgreSQL's first start makes the role that servers connect as"):
        if postgres.BIN is None:
            raise Skip("PostgreSQL is not installed")
        init_role()
    tap.done()


main()
