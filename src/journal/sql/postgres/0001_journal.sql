-- The journal over PostgreSQL >= 15: tables, and what the database itself enforces of them (I1 to I8,
-- docs/invariants.md). The append path's functions are in 0002_append.sql, the views for people in 0003_views.sql.
--
-- `ledger` leads every key, so that a distributed database can keep a ledger in one place. Ids of records and accounts
-- are UUIDs (version 7) that carry the seq or number in their middle bits; what is stored is the bits around it, so
-- that an id cannot disagree with the row it stands in (view `account`, view `record` show them whole).
--
-- Columns are in the order of their width: PostgreSQL pads between them otherwise, and rows are what the disk writes.

CREATE TABLE creditledger.ledger(
  created_at bigint NOT NULL,
  default_floor bigint CHECK (default_floor BETWEEN -4000000000000000000 AND 4000000000000000000),
  id int NOT NULL PRIMARY KEY CHECK (id BETWEEN 1 AND 65535),
  name text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 64));

CREATE TABLE creditledger.asset(
  id int NOT NULL PRIMARY KEY CHECK (id BETWEEN 1 AND 65535),
  scale smallint NOT NULL CHECK (scale BETWEEN 0 AND 18),
  code text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(code) BETWEEN 1 AND 32));

-- No personal data here: this row cannot be erased.
CREATE TABLE creditledger.account(
  number bigint NOT NULL CHECK (number > 0),
  opened_seq bigint NOT NULL,
  id_high bigint NOT NULL,                                        -- of the UUID: its first 64 bits,
  id_low int NOT NULL CHECK (id_low BETWEEN 0 AND 262143),        -- its last 18; the number is between them
  ledger int NOT NULL,
  asset int NOT NULL,
  type smallint NOT NULL CHECK (type BETWEEN 1 AND 5),            -- 1 asset, 2 liability, 3 equity, 4 income, 5 expense
  external_id text COLLATE "C" CHECK (octet_length(external_id) BETWEEN 1 AND 255),
  PRIMARY KEY (ledger, number));
CREATE UNIQUE INDEX account_external ON creditledger.account(ledger, external_id) WHERE external_id IS NOT NULL;

CREATE TABLE creditledger.account_revision(
  account bigint NOT NULL,
  seq bigint NOT NULL,
  floor bigint CHECK (floor BETWEEN -4000000000000000000 AND 4000000000000000000),
  text_seq bigint,                                                -- the record whose text has name and metadata
  ledger int NOT NULL,
  revision int NOT NULL CHECK (revision > 0),
  leg smallint NOT NULL,                                          -- of its entry in record `seq`
  status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),        -- 1 open, 2 frozen, 3 closed
  PRIMARY KEY (ledger, account, revision));
CREATE UNIQUE INDEX account_revision_record ON creditledger.account_revision(ledger, seq, leg);

CREATE TABLE creditledger.journal(
  seq bigint NOT NULL CHECK (seq > 0),
  effective_at bigint NOT NULL,
  recorded_at bigint NOT NULL,
  id_high bigint NOT NULL,                                        -- of the UUID, as with accounts
  declined_amount bigint NOT NULL,
  related_seq bigint,
  ledger int NOT NULL,
  id_low int NOT NULL CHECK (id_low BETWEEN 0 AND 262143),
  refusal int,
  kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 12),
  lots smallint NOT NULL CHECK (lots >= 0),                       -- how many rows of `lot` the record has
  format smallint NOT NULL CHECK (format > 0),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  request_hash bytea CHECK (octet_length(request_hash) = 32),
  idempotency_key text COLLATE "C" CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
  reference text COLLATE "C" CHECK (octet_length(reference) BETWEEN 1 AND 255),
  actor text COLLATE "C" CHECK (octet_length(actor) BETWEEN 1 AND 64),
  trace_id bytea CHECK (octet_length(trace_id) = 16),
  text_digest bytea CHECK (octet_length(text_digest) = 32),       -- of salt || body in record_text
  CONSTRAINT journal_seq PRIMARY KEY (ledger, seq));
CREATE UNIQUE INDEX journal_idempotency ON creditledger.journal(ledger, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX journal_erasure ON creditledger.journal(ledger, related_seq) WHERE kind = 6;

-- The only erasable bytes: personal data can go, the hash chain still verifies.
CREATE TABLE creditledger.record_text(
  seq bigint NOT NULL,
  ledger int NOT NULL,
  salt bytea NOT NULL CHECK (octet_length(salt) = 16),
  body text COLLATE "C" NOT NULL CHECK (octet_length(body) <= 32768),
  PRIMARY KEY (ledger, seq));

-- The newest row of an account is its whole head: amounts, floor and revision in force. Openings and revisions are
-- entries too (all amounts 0), so every entry but the first has a predecessor.
CREATE TABLE creditledger.entry(
  seq bigint NOT NULL,
  account bigint NOT NULL,
  version bigint NOT NULL,
  posted bigint NOT NULL,
  incoming bigint NOT NULL,
  outgoing bigint NOT NULL,
  posted_after bigint NOT NULL,
  incoming_after bigint NOT NULL,
  outgoing_after bigint NOT NULL,
  floor bigint,
  effective_at bigint,                                            -- the record's, if effective before it was recorded
  ledger int NOT NULL,
  asset int NOT NULL,
  revision int NOT NULL,
  leg smallint NOT NULL,
  side smallint NOT NULL CHECK (side IN (1, -1)),                 -- 1: credit is positive to the reader, -1: debit is
  PRIMARY KEY (ledger, seq, leg),
  CONSTRAINT entry_version UNIQUE (ledger, account, version),
  CONSTRAINT i4_range CHECK (posted_after BETWEEN -4000000000000000000 AND 4000000000000000000),
  CONSTRAINT i5_pending CHECK (incoming_after BETWEEN 0 AND 4000000000000000000
    AND outgoing_after BETWEEN 0 AND 4000000000000000000),
  CONSTRAINT i6_floor CHECK (floor IS NULL
    OR CASE WHEN side > 0 THEN posted_after - outgoing_after ELSE -posted_after - incoming_after END >= floor
    OR CASE WHEN side > 0 THEN posted - outgoing ELSE -posted - incoming END >= 0));
CREATE INDEX entry_late ON creditledger.entry(ledger, account, effective_at, version) WHERE effective_at IS NOT NULL;

-- An amount with a life of its own: 1 hold, 2 grant, 3 what is left to refund of a leg.
CREATE TABLE creditledger.lot(
  origin bigint NOT NULL,                                         -- the record and leg that brought it about
  seq bigint NOT NULL,                                            -- the record that changed it
  account bigint NOT NULL,
  change bigint NOT NULL CHECK (change <> 0),
  remaining_after bigint NOT NULL CONSTRAINT i5_remaining CHECK (remaining_after BETWEEN 0 AND 4000000000000000000),
  due_at bigint,
  ledger int NOT NULL,
  version int NOT NULL CHECK (version > 0),
  leg smallint NOT NULL,
  kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 3),
  place smallint NOT NULL CHECK (place >= 0),                     -- its place among the lots of record `seq`: 0, 1, 2 ...
  PRIMARY KEY (ledger, origin, leg, kind, version));
CREATE UNIQUE INDEX lot_record ON creditledger.lot(ledger, seq, place);
