/*
 * Appending where the database speaks PostgreSQL and lacks its functions and triggers: the same columns by plain
 * INSERTs, in one pipeline from BEGIN to COMMIT, one round trip. There are no locks. Two writers that continue the
 * same head meet at the journal's key, and one of them fails; a head that has moved on is found by the first statement.
 */
#include "journal/postgres_append_internal.h"

/* Fails (22012, division by zero) unless every head is as it was known: the record at its seq has its hash, and none
 * follows. Without functions a statement has no other way to stop a transaction that is on its way already. */
static const struct pg_statement plain_heads = {"plain_heads",
    "SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM unnest($1::int[], $2::bigint[], $3::bytea[]) AS k(ledger, "
    "seq, hash)"
    " WHERE (k.seq > 0 AND NOT EXISTS (SELECT 1 FROM creditledger.journal j WHERE j.ledger = k.ledger"
    " AND j.seq = k.seq AND j.hash = k.hash)) OR EXISTS (SELECT 1 FROM creditledger.journal j"
    " WHERE j.ledger = k.ledger AND j.seq = k.seq + 1)) THEN 0 ELSE 1 END)"};
static const struct pg_statement plain_assets = {"plain_assets",
    "INSERT INTO creditledger.asset(id, scale, code)"
    " SELECT id, scale, code FROM unnest($1::int[], $2::smallint[], $3::text[]) AS n(id, scale, code)"};
static const struct pg_statement plain_ledgers = {"plain_ledgers",
    "INSERT INTO creditledger.ledger(id, name, default_floor, created_at) SELECT id, name, floor, created_at"
    " FROM unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[]) AS n(id, name, floor, created_at)"};
static const struct pg_statement plain_records = {"plain_records",
    "INSERT INTO creditledger.journal(ledger, seq, kind, format, recorded_at, effective_at, id_high, id_low, "
    "hash,"
    " idempotency_key, request_hash, reference, actor, trace_id, text_digest, related_seq, refusal, "
    "declined_amount,"
    " lots) SELECT ledger, seq, kind, format, recorded_at, coalesce(effective_at, recorded_at), id_high, "
    "id_low, hash,"
    " idempotency_key, request_hash, reference, actor, trace_id, text_digest, related_seq, refusal,"
    " coalesce(declined_amount, 0), coalesce(lots, 0::smallint)"
    " FROM unnest($1::int[], $2::bigint[], $3::smallint[], $4::smallint[], $5::bigint[], $6::bigint[], "
    "$7::bigint[],"
    " $8::int[], $9::bytea[], $10::text[], $11::bytea[], $12::text[], $13::text[], $14::bytea[], "
    "$15::bytea[],"
    " $16::bigint[], $17::int[], $18::bigint[], $19::smallint[]) AS n(ledger, seq, kind, format, recorded_at,"
    " effective_at, id_high, id_low, hash, idempotency_key, request_hash, reference, actor, trace_id, "
    "text_digest,"
    " related_seq, refusal, declined_amount, lots)"};
static const struct pg_statement plain_entries = {"plain_entries",
    "INSERT INTO creditledger.entry(ledger, seq, leg, account, version, asset, side, revision, floor, posted,"
    " posted_after, incoming, incoming_after, outgoing, outgoing_after, effective_at)"
    " SELECT ledger, seq, leg, account, version, asset, side, revision, floor, coalesce(posted, 0), "
    "posted_after,"
    " coalesce(incoming, 0), coalesce(incoming_after, 0), coalesce(outgoing, 0), coalesce(outgoing_after, 0),"
    " effective_at FROM unnest($1::int[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], "
    "$6::int[],"
    " $7::smallint[], $8::int[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],"
    " $14::bigint[], $15::bigint[], $16::bigint[]) AS n(ledger, seq, leg, account, version, asset, side, "
    "revision,"
    " floor, posted, posted_after, incoming, incoming_after, outgoing, outgoing_after, effective_at)"};
static const struct pg_statement plain_texts = {"plain_texts",
    "INSERT INTO creditledger.record_text(ledger, seq, salt, body) SELECT ledger, seq, salt, body"
    " FROM unnest($1::int[], $2::bigint[], $3::bytea[], $4::text[]) AS n(ledger, seq, salt, body)"};
static const struct pg_statement plain_accounts = {"plain_accounts",
    "INSERT INTO creditledger.account(ledger, number, asset, type, opened_seq, id_high, id_low, external_id)"
    " SELECT ledger, number, asset, type, opened_seq, id_high, id_low, external_id FROM unnest($1::int[],"
    " $2::bigint[], $3::int[], $4::smallint[], $5::bigint[], $6::bigint[], $7::int[], $8::text[])"
    " AS n(ledger, number, asset, type, opened_seq, id_high, id_low, external_id)"};
static const struct pg_statement plain_revisions = {"plain_revisions",
    "INSERT INTO creditledger.account_revision(ledger, account, revision, seq, leg, status, floor, text_seq)"
    " SELECT ledger, account, revision, seq, leg, status, floor, text_seq FROM unnest($1::int[], "
    "$2::bigint[],"
    " $3::int[], $4::bigint[], $5::smallint[], $6::smallint[], $7::bigint[], $8::bigint[])"
    " AS n(ledger, account, revision, seq, leg, status, floor, text_seq)"};
static const struct pg_statement plain_lots = {"plain_lots",
    "INSERT INTO creditledger.lot(ledger, origin, leg, kind, version, seq, place, account, change, "
    "remaining_after,"
    " due_at) SELECT ledger, origin, leg, kind, version, seq, place, account, change, remaining_after, due_at"
    " FROM unnest($1::int[], $2::bigint[], $3::smallint[], $4::smallint[], $5::int[], $6::bigint[], "
    "$7::smallint[],"
    " $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])"
    " AS n(ledger, origin, leg, kind, version, seq, place, account, change, remaining_after, due_at)"};
static const struct pg_statement plain_erasures = {"plain_erasures",
    "DELETE FROM creditledger.record_text WHERE (ledger, seq) IN"
    " (SELECT ledger, seq FROM unnest($1::int[], $2::bigint[]) AS n(ledger, seq))"};
/* A batch of nothing: a ledger that nobody can have, made and taken back. A standby and a read-only database refuse it. */
static const struct pg_statement plain_proof = {"plain_proof",
    "INSERT INTO creditledger.ledger(id, name, created_at) VALUES (65535, 'proof of writing', 0)"};
static const struct pg_statement plain_begin = {"plain_begin", "BEGIN"};
static const struct pg_statement plain_commit = {"plain_commit", "COMMIT"};
static const struct pg_statement plain_rollback = {"plain_rollback", "ROLLBACK"};

typedef void encode_table(struct pg_params *params, const struct batch_rows *rows);

/* In the order in which they go out: parents first, as people would write them. */
static const struct plain_part {
    const struct pg_statement *statement;
    encode_table *encode;
} plain_parts[] = {
    {&plain_heads, batch_encode_known},
    {&plain_assets, batch_encode_assets},
    {&plain_ledgers, batch_encode_ledgers},
    {&plain_accounts, batch_encode_accounts},
    {&plain_revisions, batch_encode_revisions},
    {&plain_records, batch_encode_records},
    {&plain_entries, batch_encode_entries},
    {&plain_lots, batch_encode_lots},
    {&plain_texts, batch_encode_texts},
    {&plain_erasures, batch_encode_erasures},
};
#define PLAIN_PARTS (sizeof plain_parts / sizeof plain_parts[0])

/* Whether the table has rows in this batch: its first column says. */
static bool encode_part(struct postgres_journal *p, const struct plain_part *part)
{
    struct pg_params *params = &p->appending->params;
    pg_params_clear(params);
    part->encode(params, &p->appending->rows);
    return params->lengths[0] >= 0;
}

int plain_prepare(struct postgres_journal *p, struct err *err)
{
    struct pg_wire *wire = &p->append;
    int rc = pg_prepare(wire, &plain_begin, NULL, err);
    if (rc == 0)
        rc = pg_prepare(wire, appending_is_nothing(p) ? &plain_rollback : &plain_commit, NULL, err);
    if (rc == 0 && appending_is_nothing(p))
        rc = pg_prepare(wire, &plain_proof, NULL, err);
    for (size_t i = 0; rc == 0 && i < PLAIN_PARTS; i++)
        if (encode_part(p, &plain_parts[i]))
            rc = pg_prepare(wire, plain_parts[i].statement, &p->appending->params, err);
    return rc;
}

int plain_send(struct postgres_journal *p, struct err *err)
{
    struct pg_wire *wire = &p->append;
    int rc = pg_send(wire, &plain_begin, NULL, err);
    if (rc == 0 && appending_is_nothing(p))
        rc = pg_send(wire, &plain_proof, NULL, err);
    for (size_t i = 0; rc == 0 && i < PLAIN_PARTS; i++)
        if (encode_part(p, &plain_parts[i]))
            rc = pg_send(wire, plain_parts[i].statement, &p->appending->params, err);
    return rc != 0 ? rc : pg_send(wire, appending_is_nothing(p) ? &plain_rollback : &plain_commit, NULL, err);
}
