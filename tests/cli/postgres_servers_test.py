"""Two servers on one database in PostgreSQL: what one writes the other reads at once, revises without undoing, and waits for;
behind a pooler too; and a database that goes away and comes back under them.
"""
import threading
import time

from over_postgres import SLOWNESS, eventually, run, server  # first: it finds the shared helpers
from live import Client
from postgres import Cluster, database_of, need_binaries
from tap import Tap

AT_ONCE = 0.5 * max(1.0, SLOWNESS)  # seconds; the slow poll alone would take up to one
RENAMES = 40


def account(it, name, ledger=""):
    it.must(201, "POST", f"{ledger}/accounts", {"currency": "USD", "externalId": name})


def pay(it, amount, ledger="", **more):
    answer = it.client.post(f"{ledger}/transfers", {"from": "ext:a", "to": "ext:b", "amount": amount, "currency": "USD", **more})
    assert answer.status == 201, answer
    return answer


def balance(it, headers=None, ledger=""):
    return it.must(200, "GET", f"{ledger}/accounts/ext:b/balance", None, headers)["balance"]


def check_reads(tap, a, b):
    with tap.point("what A wrote is read at B from its seq on"):
        account(a, "a")
        account(b, "b")
        total, slowest = 0, 0.0
        for n in range(1, 21):
            writer, reader = (a, b) if n % 2 else (b, a)
            seq = pay(writer, n).headers["ledger-seq"]
            total += n
            began = time.monotonic()
            assert balance(reader, {"Ledger-Min-Seq": seq}) == total
            slowest = max(slowest, time.monotonic() - began)
        print(f"# slowest read of what the other wrote: {slowest * 1000:.1f} ms")
        assert slowest < AT_ONCE, slowest
    with tap.point("who waits at B for an event is woken by A's commit"):
        last = b.must(200, "GET", "/events?after=0&limit=1000")["last"]
        answers, client = [], Client(b.port)
        waiting = threading.Thread(target=lambda: answers.append((client.get(f"/events?after={last}&wait=20"), time.monotonic())))
        waiting.start()
        time.sleep(0.3)
        written = time.monotonic()
        seq = int(pay(a, 1).headers["ledger-seq"])
        waiting.join()
        answer, woken = answers[0]
        assert answer.json()["last"] == seq and woken - written < AT_ONCE, (answer, woken - written)
    with tap.point("a key used at A is known at B"):
        first = pay(a, 3, idempotencyKey="one")
        again = pay(b, 3, idempotencyKey="one")
        assert again.headers.get("idempotency-replayed") == "true" and again.json() == first.json(), again


def check_names(tap, a, b):
    with tap.point("a ledger, an asset and accounts that A made are used at B at once"):
        for n in range(10):
            ledger = f"/ledgers/shop{n}"
            a.must(201, "POST", "/ledgers", {"name": f"shop{n}"})
            b.must(200, "GET", f"{ledger}/accounts")
            a.must(201, "POST", "/assets", {"currency": f"P{n}X", "scale": 0})
            a.must(201, "POST", f"{ledger}/accounts", {"currency": f"P{n}X", "externalId": "a", "minBalance": None})
            b.must(201, "POST", f"{ledger}/accounts", {"currency": f"P{n}X", "externalId": "b"})
            b.must(201, "POST", f"{ledger}/transfers", {"from": "ext:a", "to": "ext:b", "amount": n + 1, "currency": f"P{n}X"})
            assert balance(a, ledger=ledger) == n + 1
    with tap.point("a write at B to a ledger that B has never read"):
        a.must(201, "POST", "/ledgers", {"name": "unseen"})
        b.must(201, "POST", "/ledgers/unseen/accounts", {"currency": "USD"})
    with tap.point("lists at B show what A made"):
        a.must(201, "POST", "/ledgers", {"name": "listed"})
        a.must(201, "POST", "/assets", {"currency": "LISTED", "scale": 2})
        assert "listed" in [row["ledger"] for row in b.must(200, "GET", "/ledgers")["ledgers"]]
        assert "LISTED" in [row["currency"] for row in b.must(200, "GET", "/assets")["assets"]]


def check_revisions(tap, a, b):
    """Names from A, metadata from B: each keeps what the other did."""
    problems, shown = [], {}

    def revise(it, body):
        client = Client(it.port)
        for n in range(1, RENAMES + 1):
            answer = client.request("PATCH", "/accounts/ext:a", body(n))
            if answer.status != 200:
                problems.append(answer)
                continue
            account = answer.json()
            shown[account["revision"]] = (account["name"], (account["metadata"] or {}).get("m"))

    with tap.point("names revised at A and metadata at B do not undo each other"):
        a.must(200, "PATCH", "/accounts/ext:a", {"name": "0", "metadata": {"m": 0}})
        threads = [threading.Thread(target=revise, args=(a, lambda n: {"name": str(n)})),
                   threading.Thread(target=revise, args=(b, lambda n: {"metadata": {"m": n}}))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems[:3]
        rows = [shown[revision] for revision in sorted(shown)]
        assert len(rows) == 2 * RENAMES, len(rows)
        lost = [(one, two) for one, two in zip(rows, rows[1:]) if one[0] != two[0] and one[1] != two[1]]
        assert not lost, lost[:3]
        last = b.must(200, "GET", "/accounts/ext:a")
        assert (last["name"], last["metadata"]) == (str(RENAMES), {"m": RENAMES}), last
        assert last["revision"] == 2 * RENAMES + 2, last


def check_restart(tap, postgres, a, b):
    with tap.point("/readyz says no while the database is away, and yes when it is back; reads and writes too"):
        postgres.stop("immediate")
        for it in (a, b):
            eventually("not ready", lambda it=it: it.ready().status == 503)
            assert it.client.get("/accounts/ext:b/balance").status == 503
            assert it.client.post("/transfers", {"from": "ext:a", "to": "ext:b", "amount": 1, "currency": "USD"}).status == 503
            assert it.client.get("/healthz").status == 200
        postgres.start()
        for it in (a, b):
            eventually("ready", lambda it=it: it.ready().status == 200)
        before = balance(b)
        seq = pay(a, 9).headers["ledger-seq"]
        assert balance(b, {"Ledger-Min-Seq": seq}) == before + 9


def check_pooler(tap, postgres):
    url = postgres.database("pooled")
    run(url, "migrate")
    database = database_of(url)
    pooled = postgres.bouncer().url(database)
    with server(pooled, direct=url) as a, server(pooled, direct=url) as b:
        check_reads(Named(tap, "behind PgBouncer"), a, b)
    run(url, "verify")


class Named:
    def __init__(self, tap, prefix):
        self.tap, self.prefix = tap, prefix

    def point(self, name):
        return self.tap.point(f"{self.prefix}: {name}")


def check_stop(tap, postgres):
    url = postgres.database("stopping")
    with tap.point("told to stop while the database is away, it ends"), server(url, "--grace", "1") as it:
        account(it, "a")
        postgres.stop("immediate")
        try:
            eventually("not ready", lambda: it.ready().status == 503)
            began = time.monotonic()
            assert it.stop(40) == 0
            print(f"# stopped in {time.monotonic() - began:.1f} s")
        finally:
            postgres.start()


def main():
    need_binaries()
    tap = Tap()
    with Cluster() as postgres:
        url = postgres.database("servers")
        run(url, "migrate")
        with server(url) as a, server(url) as b:
            check_reads(tap, a, b)
            check_names(tap, a, b)
            check_revisions(tap, a, b)
            check_restart(tap, postgres, a, b)
        with tap.point("the journal verifies"):
            run(url, "verify")
        with server(url, "--database-notify", "off") as a, server(url, "--database-notify", "off", "--ledger-lock", "row") as b, \
                tap.point("without messages a read waits for the next look, and no longer"):
            seq = pay(a, 1).headers["ledger-seq"]
            began = time.monotonic()
            balance(b, {"Ledger-Min-Seq": seq})
            assert time.monotonic() - began < 1 + 2 * AT_ONCE
        check_pooler(tap, postgres)
        check_stop(tap, postgres)
    tap.done()


main()
