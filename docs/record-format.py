#!/usr/bin/env python3
"""Reads the worked bytes of record-format.md and checks them as an auditor would: every record parses to its last byte,
the hashes chain from the genesis, text digests are those of salt and body, every record balances and every entry
continues its account. Python's standard library only; shares no code with the product.

    python3 record-format.py record-format.md
"""
import hashlib
import re
import sys

KINDS = "opening revision transfer reversal declined erasure hold capture void grant expiry exchange".split()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, n):
        if self.at + n > len(self.data):
            raise ValueError(f"ends within a field at offset {self.at}")
        self.at += n
        return self.data[self.at - n:self.at]

    def unsigned(self, n):
        return int.from_bytes(self.raw(n), "big")

    def signed(self, n=8):
        return int.from_bytes(self.raw(n), "big", signed=True)

    def string(self):
        n = self.unsigned(2)
        return None if n == 0xFFFF else self.raw(n).decode()

    def optional(self, read):
        flag = self.unsigned(1)
        if flag > 1:
            raise ValueError(f"flag {flag} at offset {self.at - 1}")
        return read() if flag else None

    def rows(self, read):
        return [read() for _ in range(self.unsigned(4))]


def read_account(r):
    return dict(number=r.unsigned(8), id=r.raw(16), asset=r.unsigned(4), code=r.string(), scale=r.unsigned(1),
                type=r.unsigned(1), external_id=r.string())


def read_revision(r):
    return dict(account=r.unsigned(8), revision=r.unsigned(4), status=r.unsigned(1), floor=r.optional(r.signed),
                text_seq=r.unsigned(8))


def read_entry(r):
    return dict(leg=r.unsigned(4), account=r.unsigned(8), version=r.unsigned(8), asset=r.unsigned(4), side=r.signed(1),
                revision=r.unsigned(4), floor=r.optional(r.signed), change=[r.signed() for _ in range(3)],
                after=[r.signed() for _ in range(3)], backdated=r.unsigned(1))


def read_lot(r):
    return dict(origin=r.unsigned(8), leg=r.unsigned(4), kind=r.unsigned(1), version=r.unsigned(4),
                account=r.unsigned(8), change=r.signed(), remaining_after=r.signed(), due_at=r.optional(r.signed))


def read_record(data):
    r = Reader(data)
    record = dict(format=r.unsigned(4), ledger=r.unsigned(4), seq=r.unsigned(8), kind=KINDS[r.unsigned(2) - 1],
                  id=r.raw(16), effective_at=r.signed(), recorded_at=r.signed(), related_seq=r.unsigned(8),
                  refusal=r.unsigned(4), declined_amount=r.signed(), idempotency_key=r.string())
    record["request_hash"] = r.raw(32) if record["idempotency_key"] is not None else None
    record.update(reference=r.string(), actor=r.string(), trace_id=r.optional(lambda: r.raw(16)),
                  digest=r.optional(lambda: r.raw(32)), account=r.optional(lambda: read_account(r)))
    record.update(revisions=r.rows(lambda: read_revision(r)), entries=r.rows(lambda: read_entry(r)),
                  lots=r.rows(lambda: read_lot(r)))
    if r.at != len(data):
        raise ValueError(f"{len(data) - r.at} bytes after the end")
    return record


def read_examples(text):
    """The ```text blocks: what each says, and its bytes from the annotated lines (whose offsets must fit)."""
    for block in re.findall(r"^```text\n(.*?)^```$", text, re.M | re.S):
        example, data = {}, b""
        for line in block.splitlines():
            field = re.match(r" *(\d+)  ([0-9a-f]+)  ", line)
            if field:
                assert int(field[1]) == len(data), f"offset {field[1]} should be {len(data)}"
                data += bytes.fromhex(field[2])
            else:
                name, _, value = line.partition(" ")
                example[name] = value
        example["bytes"] = data or bytes.fromhex(example["bytes"])
        yield example


def check_entries(record, heads):
    for leg, entry in enumerate(record["entries"]):
        version, after, assets = heads.get(entry["account"], (0, [0, 0, 0], entry["asset"]))
        assert entry["leg"] == leg, "I1: legs are not 0, 1, 2"
        assert entry["version"] == version + 1 and entry["asset"] == assets, "I4: version skipped or asset changed"
        assert entry["after"] == [a + c for a, c in zip(after, entry["change"])], "I4: balance does not continue"
        assert entry["backdated"] == (record["effective_at"] < record["recorded_at"])
        heads[entry["account"]] = entry["version"], entry["after"], entry["asset"]
    for asset in {e["asset"] for e in record["entries"]}:
        posted, incoming, outgoing = (sum(e["change"][i] for e in record["entries"] if e["asset"] == asset)
                                      for i in range(3))
        assert posted == 0, "I2: posted does not balance"
        assert incoming == outgoing, "I3: pending does not balance"


def main(path):
    examples = list(read_examples(open(path, encoding="utf-8").read()))
    genesis, records = examples[0], examples[1:]
    assert "genesis" in genesis and len(records) >= 9, "no worked bytes found"
    previous = hashlib.sha256(genesis["bytes"]).hexdigest()
    if genesis["hash"] != previous:
        sys.exit("genesis: I10: hash")
    heads, kinds = {}, set()
    for seq, example in enumerate(records, 1):
        try:
            record = read_record(example["bytes"])
            assert record["format"] == 1 and record["seq"] == seq == int(example["record"]), "I1: seq"
            assert int.from_bytes(record["id"], "big") >> 18 & (1 << 44) - 1 == seq, "id does not carry seq"
            assert example["previous"] == previous, "I10: previous hash"
            previous = hashlib.sha256(bytes.fromhex(previous) + example["bytes"]).hexdigest()
            assert example["hash"] == previous, "I10: hash"
            if record["digest"] is not None:
                text = bytes.fromhex(example["salt"]) + example["body"].encode()
                assert hashlib.sha256(text).digest() == record["digest"], "text digest"
            check_entries(record, heads)
            kinds.add(record["kind"])
        except (AssertionError, ValueError) as fault:
            sys.exit(f"record {seq}: {fault}")
    print(f"{len(records)} records, {len(heads)} accounts, kinds {', '.join(sorted(kinds))}: sound; newest hash {previous}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
