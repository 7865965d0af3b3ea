"""24 219 real bank movements: every running balance is the bank's, and two independent programs agree with the books."""
import csv
import json
import os
import shutil
import subprocess
import sys
from decimal import Decimal

from cli import Desk
from tap import SOURCE, Skip, Tap, skip_all

FILE = os.path.join(SOURCE, "..", "shared", "data", "bank-1993", "transactions.csv")
COLUMNS = ["--account-column", "account", "--amount-column", "amount_minor", "--currency-column", "currency",
           "--counter-column", "kind", "--date-column", "booked_on", "--id-column", "bank_transaction_id",
           "--balance-column", "balance_minor"]


def bean_check():
    for name in (os.environ.get("BEAN_CHECK"), shutil.which("bean-check")):
        if name and os.path.exists(name):
            return name
    return None


def trial_balance(desk):
    """By external id: debit less credit in minor units."""
    accounts = desk.run("trial-balance", "--json").json()["accounts"]
    return {a["externalId"]: (a["type"], a["debit"] - a["credit"]) for a in accounts}


def hledger_balances(journal):
    out = subprocess.run(["hledger", "-f", journal, "balance", "--flat", "--empty", "--no-total", "-O", "csv"],
                         capture_output=True, text=True, check=True).stdout
    return {row["account"]: row["balance"] for row in csv.DictReader(out.splitlines())}


def check_hledger(desk):
    if not shutil.which("hledger"):
        raise Skip("hledger is not installed")
    journal = desk.file("books.journal")
    desk.run("export", "--format", "hledger", "--output", journal)
    subprocess.run(["hledger", "-f", journal, "check", "--strict"], check=True, capture_output=True)
    theirs = {name: int(Decimal(text.split(" ")[0]) * 100) for name, text in hledger_balances(journal).items()}
    roots = {"liability": "liabilities", "equity": "equity"}
    ours = {f"{roots[kind]}:{name}": amount for name, (kind, amount) in trial_balance(desk).items()}
    assert theirs == ours, {k: (theirs.get(k), ours.get(k)) for k in theirs.keys() | ours.keys()
                            if theirs.get(k) != ours.get(k)}
    assert len(ours) == 619, len(ours)


def check_beancount(desk):
    program = bean_check()
    if not program:
        raise Skip("beancount is not installed")
    journal = desk.file("books.beancount")
    desk.run("export", "--format", "beancount", "--output", journal)
    subprocess.run([program, journal], check=True, capture_output=True)
    script = ("import json,sys\nfrom beancount import loader\nfrom beancount.core import realization\n"
              "e,errors,_=loader.load_file(sys.argv[1])\nassert not errors, errors\nb={}\n"
              "for t in e:\n"
              " for p in getattr(t,'postings',None) or []:\n"
              "  b[p.account]=b.get(p.account,0)+p.units.number\n"
              "print(json.dumps({k:str(v) for k,v in b.items()}))\n")
    python = os.path.join(os.path.dirname(program), "python3")
    out = subprocess.run([python if os.path.exists(python) else sys.executable, "-c", script, journal],
                         capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    theirs = sorted(int(Decimal(v) * 100) for v in json.loads(out.stdout).values())
    ours = sorted(amount for _, amount in trial_balance(desk).values())
    assert theirs == ours


def main():
    if not os.path.exists(FILE):
        skip_all("../shared/data/bank-1993 is not there")
    tap, desk = Tap(), Desk()
    with tap.point("a dry run counts and writes nothing"):
        done = desk.run("import", FILE, *COLUMNS, "--dry-run", "--json").json()
        assert done["posted"] == 24219 and done["accountsOpened"] == 619 and done["balancesEqual"] == 24219, done
        assert desk.run("trial-balance", "--json").json()["accounts"] == []
    with tap.point("every row is posted and every running balance is the bank's"):
        done = desk.run("import", FILE, *COLUMNS, "--json").json()
        assert done["ok"] and done["posted"] == done["balancesEqual"] == done["rows"] == 24219, done
    with tap.point("the balances are the last ones that the bank printed"):
        with open(FILE, encoding="utf-8") as file:
            last = {row["account"]: int(row["balance_minor"]) for row in csv.DictReader(file)}
        ours = {name: -amount for name, (kind, amount) in trial_balance(desk).items() if kind == "liability"}
        assert ours == last
    with tap.point("a second run posts nothing and says so"):
        done = desk.run("import", FILE, *COLUMNS)
        assert "0 posted, 24219 already there" in done.out and "nothing new" in done.out, done
    with tap.point("verify finds nothing wrong"):
        assert desk.run("verify", "--json").json()["ok"]
    with tap.point("hledger accepts the books and agrees on every account"):
        check_hledger(desk)
    with tap.point("beancount accepts the books and agrees on every balance"):
        check_beancount(desk)
    with tap.point("balances as they were: --at a day in the middle, from the file's own column"):
        with open(FILE, encoding="utf-8") as file:
            then = {row["account"]: int(row["balance_minor"]) for row in csv.DictReader(file)
                    if row["booked_on"] < "1993-07-01"}
        accounts = desk.run("trial-balance", "--json", "--at", "1993-06-30T23:59:59Z").json()["accounts"]
        ours = {a["externalId"]: a["credit"] - a["debit"] for a in accounts if a["type"] == "liability"}
        assert {k: v for k, v in ours.items() if k in then} == then
        assert all(v == 0 for k, v in ours.items() if k not in then)
    desk.close()
    tap.done()


main()
