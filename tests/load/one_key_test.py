"""One idempotency key, many times at once: one effect, and everybody gets the same answer, for ever (I8)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from live import Client, Node, balance, encode, open_wallets  # noqa: E402
from tap import Tap  # noqa: E402

TIMES = 200


def at_once(port, requests):
    """One connection each: all are connected before the first byte is sent, all sent before the first answer is read."""
    clients = [Client(port).connect() for _ in requests]
    for client, request in zip(clients, requests):
        client.send(request)
    answers = [client.receive() for client in clients]
    for client in clients:
        client.close()
    return answers


def transfer(key, amount, source="ext:w0", target="ext:w1"):
    return {"from": source, "to": target, "amount": amount, "currency": "USD", "idempotencyKey": key}


def replayed(answer):
    return answer.headers.get("idempotency-replayed") == "true"


def check_same(answers, status):
    assert {a.status for a in answers} == {status}, {a.status for a in answers}
    assert len({a.body for a in answers}) == 1, "the bodies differ"
    assert len({a.headers.get("ledger-seq") for a in answers}) == 1, "the seqs differ"


def one_effect(tap, port, client):
    with tap.point(f"one key {TIMES} times at once: one effect, equal answers"):
        answers = at_once(port, [encode("POST", "/transfers", transfer("same", 70))] * TIMES)
        check_same(answers, 201)
        assert sum(not replayed(a) for a in answers) == 1, f"{sum(replayed(a) for a in answers)} are replays"
        assert (balance(client, "ext:w0"), balance(client, "ext:w1")) == (930, 1070)
    with tap.point("in other words (header, other order, other spelling) it is the same request"):
        body = b'{ "currency":"USD", "amount":"70", "to":"ext:w1",\n "from":"ext:w0"}'
        again = client.post("/transfers", body, {"Idempotency-Key": "same"})
        check_same(answers[:1] + [again], 201)
        assert replayed(again) and balance(client, "ext:w1") == 1070
    return answers[0]


def another_amount(tap, port, client):
    with tap.point("the same key with another amount: 422, nothing changed"):
        seq = client.must(200, "GET", "/accounts/ext:w1/balance")["seq"]
        answers = at_once(port, [encode("POST", "/transfers", transfer("same", 71))] * 20)
        check_same(answers, 422)
        assert answers[0].code() == "idempotency_key_reused", answers[0]
        assert not any(replayed(a) for a in answers)
        after = client.must(200, "GET", "/accounts/ext:w1/balance")
        assert (after["balance"], after["seq"]) == (1070, seq), after
        assert client.must(200, "GET", "/events?after=0&limit=1000")["last"] == seq, "something was recorded"
    with tap.point("two amounts under one key at once: one wins, the others are refused"):
        before = balance(client, "ext:w1")
        answers = at_once(port, [encode("POST", "/transfers", transfer("race", 1 + i % 2)) for i in range(TIMES)])
        won = [a for a in answers if a.status == 201]
        lost = [a for a in answers if a.code() == "idempotency_key_reused"]
        assert len(won) == TIMES / 2 and len(lost) == TIMES / 2, (len(won), len(lost))
        check_same(won, 201)
        assert balance(client, "ext:w1") - before == won[0].json()["amount"]


def decline(tap, port, client):
    with tap.point(f"a decline {TIMES} times at once: declined once, equal answers"):
        client.must(201, "POST", "/accounts", {"currency": "USD", "type": "wallet", "externalId": "poor"})
        body = transfer("declined", 50, "ext:poor")
        answers = at_once(port, [encode("POST", "/transfers", body)] * TIMES)
        check_same(answers, 422)
        assert answers[0].code() == "insufficient_funds", answers[0]
        assert sum(not replayed(a) for a in answers) == 1
    with tap.point("it stays declined after a top-up; a new key goes through"):
        client.must(201, "POST", "/accounts/ext:poor/credits", {"amount": 500})
        again = client.post("/transfers", body)
        check_same(answers[:1] + [again], 422)
        assert replayed(again) and balance(client, "ext:poor") == 500
        client.must(201, "POST", "/transfers", transfer("new", 50, "ext:poor"))
        assert balance(client, "ext:poor") == 450
    return answers[0]


def other_writes(tap, port, client):
    with tap.point("one account however often it is opened, one reversal, one part of a batch"):
        opened = at_once(port, [encode("POST", "/accounts", {"currency": "USD", "idempotencyKey": "open"})] * 50)
        check_same(opened, 201)
        paid = client.must(201, "POST", "/transfers", transfer("to reverse", 10))
        path = f"/transfers/{paid['transferId']}/reverse"
        check_same(at_once(port, [encode("POST", path, {"amount": 4, "idempotencyKey": "back"})] * 50), 201)
        before = balance(client, "ext:w1")
        batch = [transfer("element", 5)] * 3
        results = [r for a in at_once(port, [encode("POST", "/transfers/batch", batch)] * 50)
                   for r in a.json()["results"]]
        assert {r["status"] for r in results} == {201} and sum(not r["replayed"] for r in results) == 1
        assert len({r["transfer"]["transferId"] for r in results}) == 1
        assert balance(client, "ext:w1") - before == 5


def after_restart(tap, node, kept):
    for how, end in (("a restart", node.stop_well), ("kill -9", node.kill)):
        end()
        node.start()
        client = Client(node.port)
        with tap.point(f"the same after {how}"):
            before = balance(client, "ext:w1")
            for body, first in kept:
                answers = at_once(node.port, [encode("POST", "/transfers", body)] * TIMES)
                check_same([first] + answers, first.status)
                assert all(replayed(a) for a in answers)
                reused = client.post("/transfers", {**body, "amount": body["amount"] + 1})
                assert reused.code() == "idempotency_key_reused", reused
            assert balance(client, "ext:w1") == before
        client.close()


def main():
    tap = Tap()
    with Node() as node:
        node.start()
        client = Client(node.port)
        open_wallets(client, 2, 1000)
        same = one_effect(tap, node.port, client)
        another_amount(tap, node.port, client)
        declined = decline(tap, node.port, client)
        other_writes(tap, node.port, client)
        client.close()
        after_restart(tap, node, [(transfer("same", 70), same), (transfer("declined", 50, "ext:poor"), declined)])
        with tap.point("it stops with 0 and verify passes"):
            node.stop_well()
            node.verify()
    tap.done()


main()
