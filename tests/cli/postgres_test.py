"""Over PostgreSQL: migrate and its roles, what is said when something is wrong, erasure, dump and restore."""
import json
import os
import subprocess
import tempfile

from over_postgres import BINARY, run, server  # first: it finds the shared helpers
from postgres import BIN, Cluster, database_of, need_binaries, with_database, with_user
from tap import Tap, read

SECRET = "s3cret-and-long"


def migrated(postgres, name):
    url = postgres.database(name)
    run(url, "migrate")
    return url


def seed(it):
    for name in "ab":
        it.must(201, "POST", "/accounts", {"currency": "USD", "externalId": name, "name": f"name of {name}"})
    for n in range(5):
        it.must(201, "POST", "/transfers", {"from": "ext:a", "to": "ext:b", "amount": n + 1, "currency": "USD",
                                            "idempotencyKey": f"k{n}"})


def check_migrate(tap, postgres):
    url = postgres.database("migrate")
    with tap.point("migrate makes the schema, and the second time finds it made"):
        first, second = run(url, "migrate"), run(url, "migrate")
        assert "is up to date now" in first.out and len(first.out.splitlines()) > 1, first
        assert second.out.splitlines() == [second.out.strip()] and "was up to date" in second.out, second
        assert run(url, "migrate", "--json").json() == {"notes": [], "changed": False}
    with tap.point("several at once make it once"):
        other = postgres.database("migrate_race")
        both = [subprocess.Popen([BINARY, "migrate", "--database-url", other],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
        outs = [(p.communicate(timeout=60), p.returncode) for p in both]
        assert all(code == 0 for _, code in outs), outs
        assert sum("up to date now" in out[0] for out, _ in outs) == 1, outs
    with tap.point("options of PostgreSQL are refused for a file"):
        done = run(f"sqlite:{tempfile.gettempdir()}/none/x.db", "migrate", "--plain", code=2)
        assert "PostgreSQL" in done.err, done
    with tap.point("backup names the tool to use"):
        done = run(url, "backup", "/tmp/never", code=2)
        assert "pg_dump" in done.err and not os.path.exists("/tmp/never"), done


def names_read(postgres, url):
    """Names of accounts in the read model."""
    rows = postgres.sql("SELECT name FROM creditledger_read.g1_account WHERE name IS NOT NULL", url)
    return [json.loads(row) for row in rows.splitlines()]


def check_roles(tap, postgres):
    url = postgres.database("roles")
    app = f"app_{os.getpid()}"
    with tap.point("migrate makes the runtime role, and again changes nothing"):
        first = run(url, "migrate", "--runtime-role", app)
        assert app in first.out, first
        assert "was up to date" in run(url, "migrate", "--runtime-role", app).out
        postgres.sql(f"ALTER ROLE {app} LOGIN", url)
    runtime = with_user(url, app)
    with tap.point("a server with the runtime role serves, and warns of nothing"), server(runtime) as it:
        seed(it)
        assert it.warnings() == [], it.warnings()
    with tap.point("the runtime role can neither change nor delete"):
        for text in ("UPDATE creditledger.entry SET posted = 0", "DELETE FROM creditledger.journal", "TRUNCATE creditledger.lot",
                     "DELETE FROM creditledger.record_text", "ALTER TABLE creditledger.entry DISABLE TRIGGER ALL"):
            done = subprocess.run([os.path.join(BIN, "psql"), "-Xq", "-d", runtime, "-c", text], capture_output=True, text=True, check=False)
            assert done.returncode != 0 and ("permission denied" in done.stderr or "must be owner" in done.stderr), (text, done.stderr)
    with tap.point("a server with more rights warns of each"), server(url) as it:
        rights = [w.get("right", "") for w in it.warnings()]
        assert any("superuser" in right for right in rights), it.warnings()
    with tap.point("the owner erases, beside a server; the runtime role cannot"), server(runtime) as it:
        done = run(runtime, "erase", "--account", "ext:a", "--yes", code=None)
        assert done.code != 0, done
        assert it.must(200, "GET", "/accounts/ext:a")["name"] == "name of a"
        assert run(url, "erase", "--account", "ext:a", "--reason", "ticket", "--yes", "--json").json()["readModel"] == "clean"
        assert it.must(200, "GET", "/accounts/ext:a")["name"] is None
        assert names_read(postgres, url) == ["name of b"]
        it.must(201, "POST", "/transfers", {"from": "ext:a", "to": "ext:b", "amount": 1, "currency": "USD"})
        assert run(url, "verify").code == 0
    with tap.point("where nobody projects, erase brings the read model up to it"):
        assert run(url, "erase", "--account", "ext:b", "--yes", "--json").json()["readModel"] == "clean"
        assert names_read(postgres, url) == []
        assert run(runtime, "projections", "check").code == 0
    postgres.sql(f"DROP OWNED BY {app}; DROP ROLE {app}", url)


def refused(url, command, *words, options=()):
    done = run(url, command, *options, code=3)
    lines = done.err.strip().splitlines()
    assert len(lines) == 1 and len(lines[0]) < 500, done
    assert all(word in lines[0].lower() for word in words), done
    print(f"# {lines[0]}")
    assert SECRET not in done.out + done.err and "bug at" not in done.err, done


def check_messages(tap, postgres):
    good = migrated(postgres, "messages")
    tcp = postgres.tcp_url(database_of(good), password=SECRET)
    for command, options in (("serve", ("--listen", "127.0.0.1:0")), ("verify", ()), ("migrate", ())):
        with tap.point(f"{command}: no server there"):
            refused(f"postgres://me:{SECRET}@127.0.0.1:1/x", command, "127.0.0.1", options=options)
        with tap.point(f"{command}: wrong password"):
            refused(tcp, command, "password", options=options)
        with tap.point(f"{command}: no such database"):
            refused(with_database(good, "cl_nowhere"), command, "cl_nowhere", "not exist", options=options)
    empty = postgres.database("empty")
    with tap.point("reading where there is no schema"):
        refused(empty, "verify", "creditledger", "migrate")
    stranger = f"stranger_{os.getpid()}"
    postgres.sql(f"CREATE ROLE {stranger} LOGIN", empty)
    with tap.point("serving where there is no schema and no right to make it"):
        refused(with_user(empty, stranger), "serve", "creditledger", options=("--listen", "127.0.0.1:0"))
    with tap.point("serving without rights on the schema"):
        refused(with_user(good, stranger), "serve", "denied", options=("--listen", "127.0.0.1:0"))
    with tap.point("a lock that there is not is a mistake of the command line"):
        done = run(good, "serve", "--ledger-lock", "big", code=2)
        assert "advisory" in done.err, done
    with tap.point("a direct URL without a database in PostgreSQL"):
        done = run("sqlite:/tmp/none.db", "verify", "--database-direct-url", "postgres:///x", code=None)
        assert done.code in (2, 3) and "--database-direct-url" in done.err, done
    check_durability(tap, postgres, good)
    postgres.sql(f"DROP ROLE {stranger}", empty)


def check_durability(tap, postgres, url):
    database = database_of(url)
    with tap.point("a server refuses to run without synchronous_commit"):
        postgres.sql(f"ALTER DATABASE {database} SET synchronous_commit = off", url)
        refused(url, "serve", "synchronous_commit", options=("--listen", "127.0.0.1:0"))
        postgres.sql(f"ALTER DATABASE {database} RESET synchronous_commit", url)
    with tap.point("a server refuses to run without fsync"):
        postgres.set(fsync="off")
        refused(url, "serve", "fsync", options=("--listen", "127.0.0.1:0"))
        postgres.set(fsync="on")
    with tap.point("a standby is told from a primary"), postgres.replica() as standby:
        refused(standby.url(database), "serve", "standby", options=("--listen", "127.0.0.1:0"))
        run(standby.url(database), "verify")


def check_dump(tap, postgres):
    url, copy = migrated(postgres, "dump"), postgres.database("restored")
    with server(url) as it:
        seed(it)
        with tempfile.NamedTemporaryFile(suffix=".dump") as file, tap.point("pg_dump beside a server, restored, verifies"):
            dump = [os.path.join(BIN, "pg_dump"), "--format=custom", "--schema=creditledger", f"--dbname={url}"]
            subprocess.run(dump, check=True, stdout=file)
            it.must(201, "POST", "/transfers", {"from": "ext:a", "to": "ext:b", "amount": 100, "currency": "USD"})
            restore = subprocess.run([os.path.join(BIN, "pg_restore"), "--exit-on-error", f"--dbname={copy}", file.name],
                                     capture_output=True, text=True, check=False)
            assert restore.returncode == 0, restore.stderr
            run(copy, "verify")
            assert "was up to date" in run(copy, "migrate").out
    with tap.point("serving goes on where the dump ended"), server(copy) as it:
        assert it.must(200, "GET", "/accounts/ext:b/balance")["balance"] == 15
        again = it.client.post("/transfers", {"from": "ext:a", "to": "ext:b", "amount": 1, "currency": "USD", "idempotencyKey": "k0"})
        assert again.status == 201 and again.headers.get("idempotency-replayed") == "true", again
        it.must(201, "POST", "/transfers", {"from": "ext:a", "to": "ext:b", "amount": 1, "currency": "USD"})
    with tap.point("the restored journal is the same up to there"):
        one, two = ({record["seq"]: record for record in map(json.loads, run(u, "export", "--format", "ndjson").out.splitlines())
                     if "seq" in record} for u in (url, copy))
        assert len(one) == len(two) == 8, (len(one), len(two))
        assert all(one[seq] == two[seq] for seq in range(1, 8)) and one[8] != two[8]
        run(copy, "verify")


def documented_queries():
    """The SQL of docs/operations.md, one statement each."""
    part = read("docs/operations.md").split("### Watch it")[1].split("\n## ")[0]
    text = "\n".join(line for line in part.splitlines() if line.startswith("    "))
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def check_documents(tap, postgres):
    url = postgres.database("documents")
    reader = f"reader_{os.getpid()}"
    run(url, "migrate", "--runtime-role", reader)
    with server(url) as it:
        seed(it)
    with tap.point("the queries of docs/operations.md work for the runtime role"):
        queries = documented_queries()
        assert len(queries) >= 7, queries
        for query in queries:
            postgres.sql(query, url, role=reader)
    postgres.sql(f"DROP OWNED BY {reader}; DROP ROLE {reader}", url)


def check_commands(tap, postgres):
    url = migrated(postgres, "commands")
    with tap.point("import, trial-balance, export and bench work on it"):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "rows.csv")
            with open(path, "w", encoding="ascii") as file:
                file.write("user,credits\n" + "".join(f"u{n},{n}\n" for n in range(1, 50)))
            run(url, "import", path, "--opening", "--account-column", "user", "--amount-column", "credits",
                "--currency", "CREDITS", "--scale", "0")
        run(url, "trial-balance")
        run(url, "export", "--format", "ndjson")
        run(url, "bench", "--in-process", "--database-url", url, "--accounts", "20", "--seconds", "1", "--quiet")
        run(url, "verify")


def main():
    need_binaries()
    tap = Tap()
    with Cluster(tcp=True) as postgres:
        check_migrate(tap, postgres)
        check_roles(tap, postgres)
        check_messages(tap, postgres)
        check_dump(tap, postgres)
        check_documents(tap, postgres)
        check_commands(tap, postgres)
    tap.done()


main()
