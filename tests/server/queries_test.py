"""Two roads to an answer over a real server: journal and read model say the same, also while transfers go on; what was written is
read; a read model that is not there stops nobody."""
import os
import random
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import POSTGRES, Client, Node, open_wallets  # noqa: E402
from tap import Tap  # noqa: E402

WALLETS = 6
TRANSFERS = 300
CURRENT_FOR = 3.0  # seconds of questions under load


def transfer(client, rng, key, n=None):
    source, target = rng.sample(range(WALLETS), 2)
    body = {"from": f"ext:w{source}", "to": f"ext:w{target}", "amount": rng.randint(1, 400), "currency": "USD",
            "idempotencyKey": str(key)}
    if n is not None:
        body["metadata"] = {"n": str(n), "odd": n % 2 == 1, "three": n % 3}
        if n % 5 == 0:
            body["reference"] = f"r{n % 4}"
    answer = client.post("/transfers", body)
    assert answer.status in (201, 422), answer
    return answer.json(), int(answer.headers["ledger-seq"])


def pages(client, question, member, consistency):
    """All elements, page by page."""
    elements, cursor = [], None
    while True:
        parameters = {"consistency": consistency} | ({"cursor": cursor} if cursor else {})
        page = client.must(200, "GET", question + ("&" if "?" in question else "?") + urllib.parse.urlencode(parameters))
        elements += page[member]
        cursor = page.get("cursor")
        if not cursor:
            return elements, page


def quiet(client):
    """Waits until the read model has everything."""
    head = client.must(200, "GET", "/accounts")["asOfSeq"]
    client.must(200, "GET", "/totals", headers={"Ledger-Min-Seq": str(head)})
    return head


def same_both_ways(tap, client, rng):
    quiet(client)
    wrong = []
    for _ in range(60):
        wallet, limit = f"ext:w{rng.randrange(WALLETS)}", rng.choice((1, 7, 100, 1000))
        question, member = rng.choice((
            (f"/accounts/{wallet}/statements?limit={limit}", "lines"),
            (f"/transfers?limit={limit}", "transfers"),
            (f"/transfers?limit={limit}&account={wallet}", "transfers"),
            (f"/transfers?limit={limit}&reference=r{rng.randrange(4)}", "transfers"),
            (f"/transfers?limit={limit}&kind=declined&account={wallet}", "transfers")))
        if pages(client, question, member, "strong")[0] != pages(client, question, member, "eventual")[0]:
            wrong.append(question)
    for i in range(WALLETS):
        strong, eventual = (client.must(200, "GET", f"/accounts/ext:w{i}/balance?consistency={c}") for c in ("strong", "eventual"))
        for answer in strong, eventual:
            del answer["asOf"], answer["asOfSeq"]
        if strong != eventual:
            wrong.append(f"balance of w{i}: {strong} {eventual}")
    tap.check("journal and read model answer the same", wrong)


def searched(tap, client):
    quiet(client)
    everything = pages(client, "/transfers?limit=1000", "transfers", "strong")[0]
    for question, wanted in (
            ("metadata.n=17", lambda t: t["metadata"].get("n") == "17"),
            ("metadata.odd=true&metadata.three=2", lambda t: t["metadata"].get("odd") is True and t["metadata"]["three"] == 2),
            ("minAmount=100&maxAmount=200&account=ext%3Aw1",
             lambda t: 100 <= t.get("amount", 0) <= 200 and any(e["accountId"] == wallet for e in t["entries"]))):
        wallet = client.must(200, "GET", "/accounts/ext:w1")["accountId"]
        found = pages(client, "/transfers?limit=50&" + question, "transfers", "eventual")[0]
        expected = [t for t in everything if wanted(t)]
        tap.check(f"search by {question}", [] if found == expected and expected else [f"{len(found)} found, {len(expected)} expected"])


def right_while_moving(tap, node):
    """At any moment an eventual statement is the strong one's beginning, up to asOfSeq, and closes there."""
    stop, failures, asked = threading.Event(), [], 0

    def write(seed):
        client, rng, n = Client(node.port), random.Random(seed), seed * 1000000
        while not stop.is_set():
            n += 1
            transfer(client, rng, n, n)

    writers = [threading.Thread(target=write, args=(i + 1,)) for i in range(3)]
    for writer in writers:
        writer.start()
    client, rng, until = Client(node.port), random.Random(7), time.monotonic() + CURRENT_FOR
    while time.monotonic() < until and not failures:
        question = f"/accounts/ext:w{rng.randrange(WALLETS)}/statements?limit=1000"
        eventual = client.must(200, "GET", question)
        strong = client.must(200, "GET", question + "&consistency=strong")
        asked += 1
        if "cursor" in eventual:
            break
        known = [line for line in strong["lines"] if line["seq"] <= eventual["asOfSeq"]]
        if eventual["lines"] != known or eventual["closing"] != (known[-1]["balance"] if known else 0):
            failures.append(f"{question}: asOfSeq {eventual['asOfSeq']}")
    stop.set()
    for writer in writers:
        writer.join()
    tap.check("every eventual answer is right as of its seq", failures or ([] if asked > 5 else [f"only {asked} were asked for"]))


def read_what_was_written(tap, node, writer_node, name="one process"):
    """Ledger-Min-Seq is a promise; without it a moment's patience mostly does."""
    writer, reader, rng = Client(writer_node.port), Client(node.port), random.Random(3)
    missing, fresh, rounds = [], 0, 100
    for n in range(rounds):
        _, seq = transfer(writer, rng, f"{name} {n} a")
        page = reader.must(200, "GET", "/transfers?limit=1", headers={"Ledger-Min-Seq": str(seq)})
        if page["transfers"][0]["seq"] < seq or page["asOfSeq"] < seq:
            missing.append(seq)
        _, seq = transfer(writer, rng, f"{name} {n} b")
        page = reader.must(200, "GET", "/transfers?limit=1")
        fresh += page["asOfSeq"] >= seq
        if (page["transfers"][0]["seq"] >= seq) != (page["asOfSeq"] >= seq):
            missing.append(seq)
    tap.check(f"{name}: Ledger-Min-Seq shows what was written, and asOfSeq tells the truth", missing)
    if node is writer_node:
        tap.check(f"{name}: without it, nearly every read does", [] if fresh >= rounds * 0.9 else [f"{fresh} of {rounds}"])


def without_it(tap):
    with Node("--read-database-url", "none") as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, 2, 100)
        codes = [client.get(path).code() for path in ("/totals", "/transfers?metadata.a=b", "/transfers?consistency=eventual")]
        strong = client.must(200, "GET", "/transfers")
        tap.check("a server without a read model says so",
                  [] if codes == ["consistency_unavailable"] * 3 and len(strong["transfers"]) == 2 else [str(codes)])
        node.stop_well()
    nowhere = "sqlite:/nonexistent/nowhere/read.db"
    with Node("--roles", "api", "--read-database-url", nowhere) as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, 2, 100)
        codes = [client.get(path).code() for path in ("/totals", "/transfers", "/accounts/ext:w0/statements")]
        tap.check("a read model that is away fails the reads that need it", [] if codes == ["read_model_unavailable"] * 3 else [str(codes)])
        strong = client.must(200, "GET", "/transfers?consistency=strong")["transfers"]
        balance = client.must(200, "GET", "/accounts/ext:w0/balance")["balance"]
        ready = client.get("/readyz").status
        tap.check("and no others", [] if (len(strong), balance, ready) == (2, 100, 200) else [str((len(strong), balance, ready))])
        node.stop_well()


def beside_the_api(tap, url):
    """A projector in a process of its own: it has its health and no ledger, and the server without one follows it."""
    with Node("--roles", "projector", url=url) as projector, Node("--roles", "api", url=url) as node:
        node.start()
        projector.start()
        client = Client(projector.port)
        codes = [client.get(path).code() for path in ("/transfers", "/ledgers", "/accounts/ext:w0/balance")]
        health = [client.get(path).status for path in ("/healthz", "/readyz", "/metrics", "/openapi.yaml")]
        tap.check("a process without the API says so",
                  [] if codes == ["role_not_here"] * 3 and health == [200] * 4 else [f"{codes} {health}"])
        read_what_was_written(tap, node, node, "a projector of another process")
        projector.stop_well()
        answer = Client(node.port).get("/transfers?limit=1")
        tap.check("which may end", [] if answer.status == 200 else [str(answer)])
        node.stop_well()


def main():
    tap, rng = Tap(), random.Random(11)
    with Node() as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, WALLETS, 2000)
        for n in range(TRANSFERS):
            transfer(client, rng, n, n)
        same_both_ways(tap, client, rng)
        searched(tap, client)
        read_what_was_written(tap, node, node)
        if POSTGRES:
            with Node("--roles", "api", url=node.url) as other:
                other.start()
                read_what_was_written(tap, other, node, "two servers")
                other.stop_well()
        right_while_moving(tap, node)
        node.stop_well()
        if POSTGRES:
            beside_the_api(tap, node.url)
    without_it(tap)
    tap.done()


if __name__ == "__main__":
    main()
