"""SIGTERM under load: what has been sent is answered, nothing acknowledged is lost, exit 0. And one writer a data directory."""
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import POSTGRES, Client, Lost, Node, balance, encode, open_wallets  # noqa: E402
from tap import Tap  # noqa: E402


def element(key, amount=1):
    return {"from": "@world", "to": "ext:w0", "amount": amount, "currency": "USD", "idempotencyKey": key}


def results_of(answer, size):
    """(posted ids, refused for the stop) of one bulk answer."""
    if answer.status == 503:
        assert answer.code() == "shutting_down", answer
        return [], size
    assert answer.status == 200, answer
    results = answer.json()["results"]
    assert len(results) == size
    refused = [r for r in results if r["status"] != 201]
    assert all(r["status"] == 503 and r["error"]["code"] == "shutting_down" for r in refused), refused[:1]
    return [r["transfer"]["transferId"] for r in results if r["status"] == 201], len(refused)


def queued(tap, node):
    """100 bulk requests are on the way when the signal comes; every one gets a whole answer."""
    node.start()
    client = Client(node.port)
    open_wallets(client, 1, 0)
    clients = [Client(node.port).connect() for _ in range(100)]
    size, posted, refused = 200, [], 0
    threads = [threading.Thread(target=c.send, args=(
        encode("POST", "/transfers/batch", [element(f"q-{i}-{n}") for n in range(size)]),))
        for i, c in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.process.send_signal(signal.SIGTERM)
    with tap.point("all that was sent before SIGTERM gets a whole answer, and the exit code is 0"):
        for c in clients:
            ids, late = results_of(c.receive(), size)
            posted += ids
            refused += late
        status = node.process.wait(60)
        assert status == 0, f"exit {status}\n{node.log()[-2000:]}"
        print(f"# {len(posted)} posted, {refused} told that it is stopping")
        assert len(posted) > 0
    check_there(tap, node, posted, 1 + 1 + len(posted))
    return len(posted)


def check_there(tap, node, ids, records):
    with tap.point("each acknowledged transfer is there after a restart, and no other"):
        node.start()
        client = Client(node.port)
        found, cursor = set(), ""
        while True:
            page = client.must(200, "GET", f"/transfers?limit=1000&consistency=strong{cursor}")
            found |= {t["transferId"] for t in page["transfers"]}
            if "cursor" not in page:
                break
            cursor = "&cursor=" + page["cursor"]
        client.close()
        assert not set(ids) - found, f"{len(set(ids) - found)} acknowledged transfers are gone"
        node.stop_well()
        assert node.verify()["records"] == records


def under_load(tap, node, before):
    """Clients in closed loops; a connection may close between two requests, not amid one that was taken."""
    node.start()
    acknowledged, problems, unknown = [], [], []

    def loop(who):
        client, n = Client(node.port), 0
        try:
            while True:
                n += 1
                body = element(f"l-{who}-{n}")
                try:
                    answer = client.post("/transfers", body)
                except Lost:
                    unknown.append(body)
                    return
                if answer.status == 201:
                    acknowledged.append(answer.json()["transferId"])
                else:
                    assert answer.code() == "shutting_down", answer
                    return
        except Exception as error:  # noqa: BLE001
            problems.append(repr(error))

    threads = [threading.Thread(target=loop, args=(i,)) for i in range(32)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    with tap.point("SIGTERM amid 32 clients: exit 0, and no answer but 201 and 503 shutting_down"):
        node.stop_well()
        for thread in threads:
            thread.join()
        assert not problems, problems[:3]
        assert len(acknowledged) > 50
    node.start()
    client = Client(node.port)
    with tap.point("what got no answer left nothing: after a clean stop silence means no"):
        for body in unknown:
            answer = client.post("/transfers", body)
            assert answer.status == 201 and "idempotency-replayed" not in answer.headers, answer
            acknowledged.append(answer.json()["transferId"])
        print(f"# {len(acknowledged)} acknowledged, {len(unknown)} without an answer")
        assert balance(client, "ext:w0") == before + len(acknowledged)
        client.close()
        node.stop_well()
    check_there(tap, node, acknowledged, 2 + before + len(acknowledged))


def arrived(tap, node):
    """The server does not get to run while requests and then SIGTERM arrive: the requests were there first."""
    node.start()
    clients = [Client(node.port).connect() for _ in range(20)]
    for n, client in enumerate(clients):
        assert client.post("/transfers", element(f"here-{n}")).status == 201
    node.process.send_signal(signal.SIGSTOP)
    for n, client in enumerate(clients):
        client.send(encode("POST", "/transfers", element(f"arrived-{n}")))
    node.process.send_signal(signal.SIGTERM)
    node.process.send_signal(signal.SIGCONT)
    with tap.point("what had arrived before SIGTERM is done and answered"):
        answers = [client.receive() for client in clients]
        assert all(a.status == 201 for a in answers), [str(a) for a in answers if a.status != 201][:3]
        assert node.process.wait(60) == 0


def one_writer(tap, node):
    node.start()
    csv = os.path.join(node.directory, "rows.csv")
    with open(csv, "w", encoding="utf-8") as file:
        file.write("account,amount,currency\nbilly,5,USD\n")
    columns = ["--account-column", "account", "--amount-column", "amount", "--currency-column", "currency",
               "--counter", "@world"]
    commands = [("serve", "--listen", "127.0.0.1:0"), ("import", csv, *columns), ("migrate",),
                ("erase", "--account", "ext:w0", "--reason", "test", "--yes")]
    for command in commands:
        with tap.point(f"beside a server '{command[0]}' is refused with exit 3 and says who is there"):
            done = node.run(*command)
            assert done.returncode == 3, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
            assert f"process {node.process.pid}" in done.stderr and "stop it first" in done.stderr, done.stderr
    with tap.point("nothing of that touched the server"):
        client = Client(node.port)
        assert client.get("/accounts/ext:billy").status == 404
        client.must(201, "POST", "/transfers", element("after"))
        client.close()
    with tap.point("after kill -9 nothing has to be cleared away"):
        node.kill()
        node.start()
        node.stop_well()
        assert json.loads(node.run("verify", "--json").stdout)["ok"]


def main():
    tap = Tap()
    with Node() as node:
        posted = queued(tap, node)
        under_load(tap, node, posted)
        arrived(tap, node)
        if not POSTGRES:
            one_writer(tap, node)
    tap.done()


main()
