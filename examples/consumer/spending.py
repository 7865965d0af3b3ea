#!/usr/bin/env python3
"""A read model of one's own, from zero: what was spent per day and reference. Needs kafka-python and lz4.

usage: spending.py BROKERS [TOPIC]      prints CSV when it has read the topic to its end
"""
import collections
import json
import sys

from kafka import KafkaConsumer

consumer = KafkaConsumer(sys.argv[2] if len(sys.argv) > 2 else "ledger.entry.v1", bootstrap_servers=sys.argv[1], group_id=None,
                         auto_offset_reset="earliest", isolation_level="read_committed", consumer_timeout_ms=3000)
versions = {}  # of each account: which entry was the last
spent = collections.Counter()
for message in consumer:
    if dict(message.headers)["ce_type"] != b"ledger.entry.posted.v1":
        continue  # a type of tomorrow
    entry = json.loads(message.value)
    next_version = versions.get(entry["accountId"], 0) + 1
    if entry["version"] < next_version:
        continue  # delivered before
    if entry["version"] > next_version:
        sys.exit(f"account {entry['accountId']}: version {entry['version']}, expected {next_version}: something is missing")
    versions[entry["accountId"]] = next_version
    if entry["change"] < 0 and entry["kind"] == "transfer":
        spent[entry["recordedAt"][:10], entry["reference"] or "", entry["currency"]] -= entry["change"]

for (day, reference, currency), amount in sorted(spent.items()):
    print(day, reference, currency, amount, sep=",")
