"""import, export, backup, erase and trial-balance: exit codes, locks, and what an independent reader makes of the export."""
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
from datetime import datetime, timezone

from cli import BINARY, Desk
from tap import Skip, Tap

KINDS = ["opening", "revision", "transfer", "reversal", "declined", "erasure"]
TYPES = ["asset", "liability", "equity", "income", "expense"]
STATES = ["open", "frozen", "closed"]
LOTS = ["hold", "grant", "refundable"]
NASTY = "x; y  \"z\" = 5 USD | {é}\\"


def micros(text):
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    delta = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86400 + delta.seconds) * 10**6 + delta.microseconds


def uuid(text):
    return bytes.fromhex(text.replace("-", ""))


def string(text):
    if text is None:
        return b"\xff\xff"
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def optional(value, form):
    return b"\0" if value is None else b"\1" + struct.pack(form, value)


def optional_hex(text):
    return b"\0" if text is None else b"\1" + bytes.fromhex(text)


def canonical(ledger, r):
    """docs/record-format.md, from the exported line alone."""
    b = struct.pack(">IIQH", r["format"], ledger["id"], r["seq"], KINDS.index(r["kind"]) + 1) + uuid(r["id"])
    b += struct.pack(">qqQIq", micros(r["effectiveAt"]), micros(r["recordedAt"]), r["relatedSeq"] or 0,
                     r["refusal"] or 0, r["declinedAmount"])
    b += string(r["idempotencyKey"])
    if r["idempotencyKey"] is not None:
        b += bytes.fromhex(r["requestHash"])
    b += string(r["reference"]) + string(r["actor"]) + optional_hex(r["traceId"]) + optional_hex(r["textDigest"])
    a = r["account"]
    b += b"\0" if a is None else b"\1"
    if a is not None:
        b += struct.pack(">Q", a["number"]) + uuid(a["id"]) + struct.pack(">I", a["asset"]) + string(a["currency"])
        b += struct.pack(">BB", a["scale"], TYPES.index(a["type"]) + 1) + string(a["externalId"])
    b += struct.pack(">I", len(r["revisions"]))
    for v in r["revisions"]:
        b += struct.pack(">QIB", v["account"], v["revision"], STATES.index(v["status"]) + 1)
        b += optional(v["minBalance"], ">q") + struct.pack(">Q", v["textSeq"] or 0)
    b += struct.pack(">I", len(r["entries"]))
    for e in r["entries"]:
        b += struct.pack(">IQQIbI", e["leg"], e["account"], e["version"], e["asset"], e["side"], e["revision"])
        b += optional(e["minBalance"], ">q")
        b += struct.pack(">qqqqqq", e["posted"], e["incoming"], e["outgoing"], e["postedAfter"], e["incomingAfter"],
                         e["outgoingAfter"]) + struct.pack(">B", e["backdated"])
    b += struct.pack(">I", len(r["lots"]))
    for x in r["lots"]:
        b += struct.pack(">QIBIQqq", x["origin"], x["leg"], LOTS.index(x["kind"]) + 1, x["version"], x["account"],
                         x["change"], x["remainingAfter"])
        b += optional(None if x["dueAt"] is None else micros(x["dueAt"]), ">q")
    return b


def genesis(ledger):
    b = b"creditledger genesis 1" + struct.pack(">I", ledger["id"]) + string(ledger["ledger"])
    b += optional(ledger["defaultMinBalance"], ">q") + struct.pack(">q", micros(ledger["createdAt"]))
    return hashlib.sha256(b).digest()


def check_chain(text):
    lines = [json.loads(line) for line in text.splitlines()]
    ledger, records, end = lines[0], lines[1:-1], lines[-1]
    assert (ledger["type"], end["type"]) == ("ledger", "end")
    previous = genesis(ledger)
    assert previous.hex() == ledger["genesisHash"]
    for seq, r in enumerate(records, 1):
        assert r["seq"] == seq
        previous = hashlib.sha256(previous + canonical(ledger, r)).digest()
        assert previous.hex() == r["hash"], f"record {seq}: {r}"
        if r["text"] is not None:
            salted = bytes.fromhex(r["textSalt"]) + r["text"].encode()
            assert hashlib.sha256(salted).hexdigest() == r["textDigest"]
    assert end["seq"] == len(records) and end["hash"] == previous.hex()
    return records


def write_books(desk):
    """Records of every kind, over the network."""
    with desk.server() as server:
        alice = server.post("/accounts", {"currency": "USD", "type": "wallet", "externalId": "alice",
                                          "name": "Alice Secretname", "metadata": {"tier": "gold"}})
        server.post("/accounts", {"currency": "USD", "externalId": "bob"})
        server.post("/accounts", {"currency": "USD", "externalId": NASTY, "type": "asset", "minBalance": None})
        server.post("/accounts/ext:alice/credits", {"amount": 1000})
        paid = server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 300, "currency": "USD",
                                          "idempotencyKey": "pay", "reference": NASTY + " ; account forged",
                                          "metadata": {"note": "Secretnote"}})
        server.post("/transfers", {"from": "ext:" + NASTY, "to": "ext:bob", "amount": 5, "currency": "USD",
                                   "effectiveAt": "2025-01-01T00:00:00Z"})
        server.post(f"/transfers/{paid['transferId']}/reverse", {"amount": 100})
        server.post("/accounts/ext:alice", {"name": "Alice Othersecret"}, method="PATCH")
        try:
            server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 99999, "currency": "USD"})
            raise AssertionError("not declined")
        except OSError as error:
            assert error.code == 422
    return paid, alice


def import_refuses(tap):
    desk = Desk()
    movements = desk.file("m.csv", "id,account,amount,kind\n1,alice,10,in\n2,bob,x,in\n")
    opening = desk.file("o.csv", "user;left\n\"al;ice\";\"12,50\"\nbob;0\n")
    columns = ["--account-column", "account", "--amount-column", "amount", "--counter-column", "kind",
               "--id-column", "id", "--currency", "USD"]
    with tap.point("import: a faulty line is exit 1, and nothing was posted"):
        done = desk.run("import", movements, *columns, code=1)
        assert "m.csv: line 3, column amount: 'x' is not a whole number" in done.err, done
        assert desk.run("trial-balance", "--json").json()["accounts"] == []
    with tap.point("import: a wrong command line is exit 2 and says what to do"):
        for arguments, says in [([movements], "--account-column is needed"),
                                ([movements, *columns[2:]], "--account-column is needed"),
                                ([movements, *columns, "--counter", "x"], "use one of --counter and --counter-column"),
                                ([movements, *columns, "--delimiter", "ab"], "--delimiter is 'ab'"),
                                ([movements, *columns, "--min-balance", "lots"], "--min-balance is 'lots'"),
                                ([movements, *columns, "--ledger", "shop"], "there is no ledger 'shop'"),
                                ([movements, *columns, "--date-column", "when"], "the file has: id, account, amount, kind"),
                                ([movements, *columns[:-2]], "name the currency")]:
            done = desk.run("import", *arguments, code=2)
            assert says in done.err, done
    with tap.point("import: a file that is not there is exit 3"):
        assert "No such file" in desk.run("import", "nowhere.csv", *columns, code=3).err
    with tap.point("import: refuses to write beside a server, and names it"):
        with desk.server() as server:
            done = desk.run("import", movements, *columns, code=3)
            assert f"process {server.process.pid}" in done.err, done
            desk.run("erase", "--seq", "1", "--yes", code=3)
    with tap.point("import --opening: ';', decimal comma, an own currency; twice is once"):
        arguments = [opening, "--opening", "--account-column", "user", "--balance-column", "left", "--currency",
                     "CREDITS", "--scale", "2", "--delimiter", ";", "--decimal-comma"]
        assert "1 posted" in desk.run("import", *arguments).out
        done = desk.run("import", *arguments, "--json").json()
        assert done["posted"] == 0 and done["alreadyThere"] == 1 and done["accountsOpened"] == 0, done
        totals = desk.run("trial-balance", "--json").json()
        credit = {a["externalId"]: a["credit"] - a["debit"] for a in totals["accounts"]}
        assert credit == {"al;ice": 1250, "bob": 0, "@world:CREDITS": -1250}, credit
    with tap.point("import: reads standard input"):
        with open(desk.file("in.csv", "id,account,amount,kind\n7,alice,10,in\n"), encoding="utf-8") as file:
            assert "1 posted" in desk.run("import", "-", *columns, stdin=file).out
    with tap.point("import: a balance that differs stops there, exit 1, says both values"):
        file = desk.file("b.csv", "id,account,amount,kind,after\n8,carl,10,in,10\n9,carl,5,in,16\n10,carl,1,in,17\n")
        done = desk.run("import", file, *columns, "--balance-column", "after", code=1)
        assert "line 3, column after" in done.err and "15" in done.err and "16" in done.err, done
        assert "1 posted" in done.out and desk.run("verify").code == 0
    desk.close()


def check_accounting_programs(desk):
    if not shutil.which("hledger"):
        raise Skip("hledger is not installed")
    journal = desk.file("b.journal")
    desk.run("export", "--format", "hledger", "--output", journal)
    subprocess.run(["hledger", "-f", journal, "check", "--strict"], check=True, capture_output=True)
    out = subprocess.run(["hledger", "-f", journal, "print", "-O", "json"], check=True, capture_output=True, text=True)
    assert len(json.loads(out.stdout)) == 4, "as many transactions as moved something"
    declared = subprocess.run(["hledger", "-f", journal, "accounts", "--declared"], check=True, capture_output=True,
                              text=True).stdout.split()
    assert len(declared) == 4 and not any("forged" in name for name in declared), declared


def check_beancount(desk):
    program = os.environ.get("BEAN_CHECK") or shutil.which("bean-check")
    if not program:
        raise Skip("beancount is not installed")
    journal = desk.file("b.beancount")
    desk.run("export", "--format", "beancount", "--output", journal)
    done = subprocess.run([program, journal], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def exports(tap):
    desk = Desk()
    write_books(desk)
    with tap.point("export: an independent reader recomputes the whole chain from the NDJSON alone"):
        records = check_chain(desk.run("export").out)
        assert {r["kind"] for r in records} == {"opening", "revision", "transfer", "reversal", "declined"}
    with tap.point("export: hledger accepts what nasty names and references become"):
        check_accounting_programs(desk)
    with tap.point("export: beancount does, too"):
        check_beancount(desk)
    with tap.point("export: --from-seq, where balances do not need all history"):
        lines = desk.run("export", "--from-seq", "5").out.splitlines()
        assert json.loads(lines[1])["seq"] == 5
        assert "wrong balances" in desk.run("export", "--from-seq", "5", "--format", "hledger", code=2).err
    with tap.point("export: the file appears when it is whole"):
        target = desk.file("books.csv")
        desk.run("export", "--format", "csv", "--output", target)
        assert os.path.exists(target) and not os.path.exists(target + ".partial")
        desk.run("export", "--output", desk.file("no/such/directory"), code=3)
        desk.run("export", "--format", "xml", code=2)
    with tap.point("export: a full disk is exit 3, not half a file"):
        if not os.path.exists("/dev/full"):
            raise Skip("no /dev/full here")
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([*export_line(desk)], stdout=full, stderr=subprocess.PIPE, text=True)
        assert result.returncode == 3 and "writing" in result.stderr, result
    with tap.point("trial-balance: unequal debits and credits are exit 1"):
        desk.drop_triggers()
        desk.sql("UPDATE entry SET posted_after = posted_after + 1 WHERE place = (SELECT max(place) FROM entry"
                 " WHERE account = 2)")
        done = desk.run("trial-balance", code=1)
        assert "TOTALS DIFFER" in done.out and "debits and credits differ" in done.err, done
    desk.close()


def export_line(desk):
    from cli import BINARY
    return [BINARY, "export", "--data", desk.data]


def backups(tap):
    desk = Desk()
    paid, _ = write_books(desk)
    copy = desk.file("copy.db")
    with tap.point("backup: beside a server that writes"):
        with desk.server() as server:
            server.post("/accounts/ext:bob/credits", {"amount": 1})
            done = desk.run("backup", copy)
            server.post("/accounts/ext:bob/credits", {"amount": 1})
            assert "looks sound" in done.out, done
        assert sorted(name for name in os.listdir(desk.path) if name.startswith("copy")) == ["copy.db"]
    with tap.point("backup: never overwrites"):
        before = os.stat(copy).st_mtime_ns
        assert "never overwrites" in desk.run("backup", copy, code=2).err
        assert os.stat(copy).st_mtime_ns == before
    with tap.point("backup: into a directory that is not there"):
        desk.run("backup", desk.file("no/where.db"), code=3)
    with tap.point("backup: restored, it verifies, serves, and knows its keys"):
        data = desk.file("restored")
        os.mkdir(data)
        shutil.copy(copy, os.path.join(data, "ledger.db"))
        there, here = desk.run("verify", "--json", data=data).json(), desk.run("verify", "--json").json()
        assert there["ok"] and here["ok"] and there["records"] == here["records"] - 1
        original, desk.data = desk.data, data
        with desk.server() as server:
            again = server.post("/transfers", {"from": "ext:alice", "to": "ext:bob", "amount": 300, "currency": "USD",
                                               "idempotencyKey": "pay", "reference": NASTY + " ; account forged",
                                               "metadata": {"note": "Secretnote"}})
            assert again["transferId"] == paid["transferId"]
        desk.data = original
    desk.close()


def traces(desk, word):
    """Files of the database in which the word still is."""
    found = []
    for name in os.listdir(desk.data):
        with open(os.path.join(desk.data, name), "rb") as file:
            if word.encode() in file.read():
                found.append(name)
    return found


def erasures(tap):
    desk = Desk()
    paid, alice = write_books(desk)
    with tap.point("erase: says what it would do, and does it only with --yes"):
        done = desk.run("erase", "--transfer", paid["transferId"], code=2)
        assert f"would erase the text of record {paid['seq']}" in done.out and "--yes" in done.err
        assert traces(desk, "Secretnote")
    with tap.point("erase: a transfer's metadata is gone from the files"):
        assert f"erased the text of record {paid['seq']}" in desk.run("erase", "--transfer", paid["transferId"], "--yes",
                                                                    "--reason", "request 12").out
        assert not traces(desk, "Secretnote"), traces(desk, "Secretnote")
    with tap.point("erase: an account's names, in its opening and its revision"):
        done = desk.run("erase", "--account", "ext:alice", "--yes", "--json").json()
        assert len(done["erased"]) == 2 and done["readModel"] == "clean", done
        assert not traces(desk, "Secretname") and not traces(desk, "Othersecret")
    with tap.point("erase: a second time there is nothing to erase"):
        assert "nothing to erase" in desk.run("erase", "--account", alice["accountId"], "--yes").out
    with tap.point("erase: the chain, every balance and the export stay"):
        done = desk.run("verify", "--json").json()
        assert done["ok"] and done["textsErased"] == 3, done
        records = check_chain(desk.run("export").out)
        assert [r["relatedSeq"] for r in records if r["kind"] == "erasure"][0] == paid["seq"]
        assert [r["reference"] for r in records if r["kind"] == "erasure"][0] == "request 12"
    with tap.point("erase: a read model that cannot be brought up to it is told"):
        with desk.server() as server:
            server.post("/accounts", {"currency": "USD", "externalId": "carol", "name": "Carol Thirdsecret"})
        desk.run("projections", "rebuild")
        with contextlib.closing(sqlite3.connect(os.path.join(desk.data, "ledger-read-g2.db"))) as read:
            read.execute("UPDATE head SET version = version - 1")
            read.commit()
        done = desk.run("erase", "--account", "ext:carol", "--yes", "--json")
        assert done.json()["readModel"] == "behind" and "still has it until a projector runs" in done.err and "gap" in done.err, done
        desk.run("projections", "rebuild")
        assert desk.run("erase", "--account", "ext:carol", "--yes", "--json").json()["readModel"] == "clean"
        assert not traces(desk, "Thirdsecret"), traces(desk, "Thirdsecret")
    with tap.point("erase: what is not there, and what is no target"):
        desk.run("erase", "--seq", "9999", "--yes", code=1)
        desk.run("erase", "--account", "ext:nobody", "--yes", code=1)
        desk.run("erase", "--account", "nobody", "--yes", code=2)
        desk.run("erase", "--yes", code=2)
        desk.run("erase", "--seq", "1", "--account", "ext:alice", "--yes", code=2)
    with tap.point("erase: no database is made by mistake"):
        desk.run("erase", "--seq", "1", "--yes", code=3, data=desk.file("empty"))
        assert not os.path.exists(os.path.join(desk.file("empty"), "ledger.db"))
    desk.close()


def tokens(tap):
    desk = Desk()
    path = desk.file("tokens")

    def token(name):
        done = subprocess.run([BINARY, "token", name, "--file", path], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    with tap.point("token: a name is in the file once"):
        assert token("a")[0] == 0
        code, said = token("a")
        assert code == 2 and "already" in said, said
        assert token("ab")[0] == 0
    with tap.point("token: a last line without an end stays a line"):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        desk.file("tokens", text.rstrip("\n"))
        assert token("b")[0] == 0
        with open(path, encoding="utf-8") as file:
            assert [line.split()[0] for line in file.read().splitlines()] == ["a", "ab", "b"]
    desk.close()


def places(tap):
    desk = Desk()
    elsewhere = {**os.environ, "CREDITLEDGER_DATABASE_URL": f"sqlite:{desk.file('elsewhere')}"}
    with tap.point("--data on the command line comes before CREDITLEDGER_DATABASE_URL"):
        desk.run("migrate", env=elsewhere)
        assert os.path.exists(desk.database) and not os.path.exists(desk.file("elsewhere"))
    with tap.point("--data and --database-url together are refused"):
        done = desk.run("verify", "--database-url", f"sqlite:{desk.database}", code=None)
        assert done.code != 0 and "one of them" in done.err, done
    with tap.point("a port beyond 65535 is no port"):
        for address in ("127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:http", "127.0.0.1:-1", "127.0.0.1:"):
            assert "no address to listen on" in desk.run("serve", "--listen", address, code=3).err, address
    desk.close()


def helps(tap):
    desk = Desk()
    with tap.point("every command explains itself"):
        for command in ("verify", "trial-balance", "import", "export", "backup", "erase"):
            done = desk.run(command, "--help")
            assert done.out.startswith(f"Usage: creditledger {command}") and "Exit status:" in done.out, done
    desk.close()


def main():
    tap = Tap()
    import_refuses(tap)
    exports(tap)
    backups(tap)
    erasures(tap)
    tokens(tap)
    places(tap)
    helps(tap)
    tap.done()


main()
