-- Not in the plain profile:
-- What people read in psql: real timestamps, UUIDs, words for kinds, amounts in the sign and with the decimals that their
-- reader expects. Nothing in the program uses these. Each amount comes twice: as minor units, which is what is stored
-- and what the API shows (`posted_minor`), and with its decimal point (`posted`).
--
-- A role that only reads needs
--     GRANT USAGE ON SCHEMA creditledger TO analyst; GRANT SELECT ON ALL TABLES IN SCHEMA creditledger TO analyst;
-- and, because a view calls functions as who reads it, EXECUTE on those of this file, which `migrate` leaves to everybody.

CREATE FUNCTION creditledger.uuid(id_high bigint, number bigint, id_low int) RETURNS uuid
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
  (lpad(to_hex(id_high), 16, '0') || lpad(to_hex((-9223372036854775807 - 1) | (number << 18) | id_low), 16, '0'))::uuid;
COMMENT ON FUNCTION creditledger.uuid IS 'The id that the API shows, from what is stored of it: the first 64 bits, the number or seq in its middle, the last 18 bits.';

-- Division by a power of ten that keeps exactly as many decimals as the asset has: 1234 with scale 2 is 12.34.
CREATE FUNCTION creditledger.amount(minor numeric, scale int) RETURNS numeric
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
  CASE WHEN scale = 0 THEN minor ELSE round(minor * ('1e-' || scale)::numeric, scale) END;
COMMENT ON FUNCTION creditledger.amount IS 'Minor units as a number with the decimals of its asset: 1234 with scale 2 is 12.34.';

-- In two steps: an interval is multiplied in floating point, which has not the digits for microseconds.
CREATE FUNCTION creditledger.instant(micros bigint) RETURNS timestamptz
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
  timestamptz '1970-01-01 00:00:00+00' + micros / 1000000 * interval '1 second'
    + micros % 1000000 * interval '1 microsecond';
COMMENT ON FUNCTION creditledger.instant IS 'Microseconds since 1970, UTC, as a timestamp.';

CREATE FUNCTION creditledger.kind_name(kind smallint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
  (ARRAY['opening', 'revision', 'transfer', 'reversal', 'declined', 'erasure', 'hold', 'capture', 'void', 'grant', 'expiry',
    'exchange'])[kind];
CREATE FUNCTION creditledger.type_name(type smallint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
  (ARRAY['asset', 'liability', 'equity', 'income', 'expense'])[type];
CREATE FUNCTION creditledger.status_name(status smallint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
  (ARRAY['open', 'frozen', 'closed'])[status];

-- The newest row of the account's revisions says its status and where its text is; the newest entry has all else.
CREATE VIEW creditledger.accounts AS
  SELECT l.name AS ledger, a.number, creditledger.uuid(a.id_high, a.number, a.id_low) AS account_id, a.external_id,
      t.body::json ->> 'name' AS name, x.code AS currency, creditledger.type_name(a.type) AS type,
      creditledger.status_name(v.status) AS status, creditledger.amount(v.floor, x.scale) AS min_balance,
      v.floor AS min_balance_minor, creditledger.instant(j.recorded_at) AS opened_at, a.opened_seq, v.revision,
      t.body::json -> 'metadata' AS metadata
    FROM creditledger.account a
      JOIN creditledger.ledger l ON l.id = a.ledger
      JOIN creditledger.asset x ON x.id = a.asset
      JOIN creditledger.journal j ON j.ledger = a.ledger AND j.seq = a.opened_seq
      CROSS JOIN LATERAL (SELECT * FROM creditledger.account_revision r
        WHERE r.ledger = a.ledger AND r.account = a.number ORDER BY r.revision DESC LIMIT 1) v
      LEFT JOIN creditledger.record_text t ON t.ledger = a.ledger AND t.seq = v.text_seq;

CREATE VIEW creditledger.balances AS
  SELECT l.name AS ledger, a.number, creditledger.uuid(a.id_high, a.number, a.id_low) AS account_id, a.external_id,
      x.code AS currency, creditledger.type_name(a.type) AS type,
      creditledger.amount(m.posted, x.scale) AS posted, creditledger.amount(e.incoming_after, x.scale) AS pending_incoming,
      creditledger.amount(e.outgoing_after, x.scale) AS pending_outgoing,
      creditledger.amount(m.available, x.scale) AS available, creditledger.amount(e.floor, x.scale) AS min_balance,
      m.posted AS posted_minor, e.incoming_after AS pending_incoming_minor, e.outgoing_after AS pending_outgoing_minor,
      m.available AS available_minor, e.floor AS min_balance_minor, e.version, e.seq,
      creditledger.instant(j.recorded_at) AS as_of
    FROM creditledger.account a
      JOIN creditledger.ledger l ON l.id = a.ledger
      JOIN creditledger.asset x ON x.id = a.asset
      CROSS JOIN LATERAL (SELECT * FROM creditledger.entry n
        WHERE n.ledger = a.ledger AND n.account = a.number ORDER BY n.version DESC LIMIT 1) e
      CROSS JOIN LATERAL (SELECT e.posted_after * e.side AS posted, CASE WHEN e.side > 0
        THEN e.posted_after - e.outgoing_after ELSE -e.posted_after - e.incoming_after END AS available) m
      JOIN creditledger.journal j ON j.ledger = e.ledger AND j.seq = e.seq;

CREATE VIEW creditledger.statements AS
  SELECT l.name AS ledger, e.account AS number, creditledger.uuid(a.id_high, a.number, a.id_low) AS account_id, a.external_id,
      e.version, creditledger.instant(j.recorded_at) AS recorded_at, creditledger.instant(j.effective_at) AS effective_at,
      creditledger.kind_name(j.kind) AS kind, x.code AS currency,
      creditledger.amount(e.posted * e.side, x.scale) AS change,
      creditledger.amount(e.posted_after * e.side, x.scale) AS balance,
      creditledger.amount(m.available, x.scale) AS available,
      e.posted * e.side AS change_minor, e.posted_after * e.side AS balance_minor, m.available AS available_minor,
      e.incoming AS incoming_minor, e.outgoing AS outgoing_minor, j.reference, e.seq, e.leg,
      creditledger.uuid(j.id_high, j.seq, j.id_low) AS record_id
    FROM creditledger.entry e
      JOIN creditledger.ledger l ON l.id = e.ledger
      JOIN creditledger.asset x ON x.id = e.asset
      JOIN creditledger.account a ON a.ledger = e.ledger AND a.number = e.account
      JOIN creditledger.journal j ON j.ledger = e.ledger AND j.seq = e.seq
      CROSS JOIN LATERAL (SELECT CASE WHEN e.side > 0
        THEN e.posted_after - e.outgoing_after ELSE -e.posted_after - e.incoming_after END AS available) m;

CREATE VIEW creditledger.records AS
  SELECT l.name AS ledger, j.seq, creditledger.uuid(j.id_high, j.seq, j.id_low) AS record_id,
      creditledger.kind_name(j.kind) AS kind, creditledger.instant(j.recorded_at) AS recorded_at,
      creditledger.instant(j.effective_at) AS effective_at, j.reference, j.idempotency_key, j.actor, j.related_seq,
      j.refusal, j.declined_amount AS declined_amount_minor,
      (SELECT count(*) FROM creditledger.entry e WHERE e.ledger = j.ledger AND e.seq = j.seq) AS entries,
      CASE WHEN j.text_digest IS NULL THEN 'none' WHEN t.seq IS NULL THEN 'erased' ELSE 'present' END AS text,
      t.body::json AS body, encode(j.trace_id, 'hex') AS trace_id, encode(j.hash, 'hex') AS hash
    FROM creditledger.journal j
      JOIN creditledger.ledger l ON l.id = j.ledger
      LEFT JOIN creditledger.record_text t ON t.ledger = j.ledger AND t.seq = j.seq;

-- One line for each two legs in a row that a transfer of one posting has: who paid, who got. Of a transfer of several
-- postings each debit and each credit is a line of its own, with nobody on the other side: what was set off against what
-- is not in the journal.
CREATE VIEW creditledger.transfers AS
  SELECT l.name AS ledger, j.seq, creditledger.uuid(j.id_high, j.seq, j.id_low) AS transfer_id,
      creditledger.kind_name(j.kind) AS kind, creditledger.instant(j.recorded_at) AS recorded_at,
      creditledger.instant(j.effective_at) AS effective_at, p.debit AS debit_number,
      creditledger.uuid(d.id_high, d.number, d.id_low) AS debit_account_id, p.credit AS credit_number,
      creditledger.uuid(c.id_high, c.number, c.id_low) AS credit_account_id, x.code AS currency,
      creditledger.amount(p.minor, x.scale) AS amount, p.minor AS amount_minor, j.reference, j.idempotency_key, j.actor,
      j.related_seq
    FROM creditledger.journal j
      JOIN creditledger.ledger l ON l.id = j.ledger
      CROSS JOIN LATERAL (SELECT count(*) AS n FROM creditledger.entry e
        WHERE e.ledger = j.ledger AND e.seq = j.seq) legs
      CROSS JOIN LATERAL (
        SELECT min(e.asset) AS asset, min(e.account) FILTER (WHERE e.posted < 0) AS debit,
            min(e.account) FILTER (WHERE e.posted > 0) AS credit, max(abs(e.posted)) AS minor
          FROM creditledger.entry e WHERE e.ledger = j.ledger AND e.seq = j.seq
          GROUP BY CASE WHEN legs.n > 2 THEN e.leg END) p
      JOIN creditledger.asset x ON x.id = p.asset
      LEFT JOIN creditledger.account d ON d.ledger = j.ledger AND d.number = p.debit
      LEFT JOIN creditledger.account c ON c.ledger = j.ledger AND c.number = p.credit
    WHERE j.kind IN (3, 4);

-- Sums in numeric: many accounts together do not fit 64 bits. Debits and credits as an accountant adds them up: each
-- account on the side on which it stands.
CREATE VIEW creditledger.trial_balance AS
  SELECT l.name AS ledger, x.code AS currency, creditledger.type_name(a.type) AS type, count(*) AS accounts,
      creditledger.amount(sum(CASE WHEN e.posted_after < 0 THEN -e.posted_after::numeric ELSE 0 END), x.scale) AS debit,
      creditledger.amount(sum(CASE WHEN e.posted_after > 0 THEN e.posted_after::numeric ELSE 0 END), x.scale) AS credit,
      sum(e.posted_after::numeric) AS posted_minor, sum(e.incoming_after::numeric) AS pending_incoming_minor,
      sum(e.outgoing_after::numeric) AS pending_outgoing_minor, grouping(a.type) AS total
    FROM creditledger.account a
      JOIN creditledger.ledger l ON l.id = a.ledger
      JOIN creditledger.asset x ON x.id = a.asset
      CROSS JOIN LATERAL (SELECT * FROM creditledger.entry n
        WHERE n.ledger = a.ledger AND n.account = a.number ORDER BY n.version DESC LIMIT 1) e
    GROUP BY l.id, l.name, x.id, x.code, x.scale, GROUPING SETS ((a.type), ());

CREATE VIEW creditledger.holds AS
  SELECT l.name AS ledger, o.origin AS seq, creditledger.uuid(j.id_high, j.seq, j.id_low) AS record_id, o.account AS number,
      creditledger.uuid(a.id_high, a.number, a.id_low) AS account_id, x.code AS currency,
      creditledger.amount(o.change, x.scale) AS amount, creditledger.amount(n.remaining_after, x.scale) AS remaining,
      o.change AS amount_minor, n.remaining_after AS remaining_minor, creditledger.instant(o.due_at) AS due_at,
      creditledger.instant(j.recorded_at) AS recorded_at
    FROM creditledger.lot o
      JOIN creditledger.ledger l ON l.id = o.ledger
      JOIN creditledger.journal j ON j.ledger = o.ledger AND j.seq = o.origin
      JOIN creditledger.account a ON a.ledger = o.ledger AND a.number = o.account
      JOIN creditledger.asset x ON x.id = a.asset
      CROSS JOIN LATERAL (SELECT * FROM creditledger.lot v WHERE v.ledger = o.ledger AND v.origin = o.origin
        AND v.leg = o.leg AND v.kind = o.kind ORDER BY v.version DESC LIMIT 1) n
    WHERE o.kind = 1 AND o.version = 1;

COMMENT ON VIEW creditledger.accounts IS 'One line an account: who it is, in which state. Balances are in balances.';
COMMENT ON COLUMN creditledger.accounts.name IS 'Null too when it was erased.';
COMMENT ON COLUMN creditledger.accounts.min_balance IS 'What available may not fall below; null: no limit.';
COMMENT ON VIEW creditledger.balances IS 'One line an account: what it holds now, in the sign its reader expects (an asset or expense grows by debits, all others by credits).';
COMMENT ON COLUMN creditledger.balances.posted IS 'What is on the account, with the decimals of its currency.';
COMMENT ON COLUMN creditledger.balances.pending_incoming IS 'Promised to the account by holds, not there yet.';
COMMENT ON COLUMN creditledger.balances.pending_outgoing IS 'Held back for others, still there.';
COMMENT ON COLUMN creditledger.balances.available IS 'What can be spent: posted less the pending amounts that would lower it.';
COMMENT ON COLUMN creditledger.balances.version IS 'How many entries the account has.';
COMMENT ON COLUMN creditledger.balances.as_of IS 'When the account last changed.';
COMMENT ON VIEW creditledger.statements IS 'One line an entry: what changed an account, and its balance after it. Give number or account_id, ORDER BY version.';
COMMENT ON COLUMN creditledger.statements.number IS 'The account''s number; with the ledger it is the quick way to one account.';
COMMENT ON COLUMN creditledger.statements.change IS 'Of the posted balance, in the sign its reader expects.';
COMMENT ON COLUMN creditledger.statements.balance IS 'The posted balance after this entry.';
COMMENT ON COLUMN creditledger.statements.effective_at IS 'Earlier than recorded_at if the entry was backdated.';
COMMENT ON VIEW creditledger.records IS 'One line a record of the journal, in the order of seq.';
COMMENT ON COLUMN creditledger.records.text IS 'Whether the record has a text (metadata, names): none, present, erased.';
COMMENT ON COLUMN creditledger.records.refusal IS 'Declined records: why, a number of the table of errors.';
COMMENT ON COLUMN creditledger.records.hash IS 'SHA-256 over the record before and this one''s canonical bytes.';
COMMENT ON VIEW creditledger.transfers IS 'One line a transfer or reversal of one posting: from whom (debit) to whom (credit). Of several postings a line each leg.';
COMMENT ON VIEW creditledger.trial_balance IS 'For each ledger and currency: sums by type of account, and a line over all of them (type null, total 1) whose debit and credit are equal.';
COMMENT ON COLUMN creditledger.trial_balance.posted_minor IS 'Credits less debits; 0 in the line over all types.';
COMMENT ON VIEW creditledger.holds IS 'One line a hold: how much was held back, how much still is.';

COMMENT ON SCHEMA creditledger IS 'Credit Ledger: a journal that can only grow. Start with balances, statements, trial_balance.';
COMMENT ON TABLE creditledger.ledger IS 'Ledgers: name spaces with accounts, keys and numbering of their own.';
COMMENT ON TABLE creditledger.asset IS 'Currencies and other units. scale: decimals of the minor unit.';
COMMENT ON TABLE creditledger.account IS 'Who an account is; never changes. View: accounts.';
COMMENT ON TABLE creditledger.account_revision IS 'Status and limit of an account, a row for each change of them.';
COMMENT ON TABLE creditledger.journal IS 'One row a record: what happened, who asked for it, when. View: records.';
COMMENT ON COLUMN creditledger.journal.seq IS 'Without gaps in a ledger.';
COMMENT ON COLUMN creditledger.journal.recorded_at IS 'Microseconds since 1970, UTC; never runs backwards.';
COMMENT ON COLUMN creditledger.journal.hash IS 'Chains each record to the one before.';
COMMENT ON TABLE creditledger.record_text IS 'What may hold personal data. The only rows that can go, by an erasure.';
COMMENT ON TABLE creditledger.entry IS 'One row a change of an account, with its state after it: the newest is the account''s balance. View: statements.';
COMMENT ON COLUMN creditledger.entry.posted IS 'Change in minor units, credit positive, whatever the type of account.';
COMMENT ON COLUMN creditledger.entry.version IS 'Without gaps in an account.';
COMMENT ON TABLE creditledger.lot IS 'Amounts with a life of their own: holds, grants, what is left to refund of a transfer.';
