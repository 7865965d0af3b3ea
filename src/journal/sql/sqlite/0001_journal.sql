-- The journal over SQLite >= 3.37, and what the database itself enforces of it (I1 to I8, docs/invariants.md).
--
-- Keys. Every row that belongs to a record is found by the record's place in the ledgers, in one 64-bit rowid:
--     record = (ledger - 1) << 36 | seq          journal, record_text
--     place  = record << 11 | n                  entry (n = leg), account_revision (n = its entry's leg), lot (n = 0, 1, 2 ...)
--     holder = (ledger - 1) << 36 | number       account
-- Rowid tables that grow at their end are SQLite's cheapest: no second tree for the primary key, no wide keys in inner
-- pages, appends that split nothing. 16 bits of ledger, 36 of seq, 11 of leg; a file full of records is smaller than
-- 2^36 of them. `ledger`, `seq`, `leg` and `number` are virtual columns: they cost no byte, but only the keys are quick
-- to search by.
--
-- From parts to seal. SQLite has no trigger at commit, so a record is written in this order:
--     appending (once a transaction and ledger), then for each record
--     account_revision*, account?, entry (leg 0, 1, 2 ...), lot*, record_text?, and last the journal row;
--     and before COMMIT the row of `appending` is deleted.
-- Parts are taken only for the next record of their ledger. The journal row checks them all and seals them: from then
-- on nothing can be added. A row in `appending` breaks a deferred foreign key, so no commit succeeds while it is there,
-- and it cannot be deleted while there are parts without a seal; it can be inserted only with foreign keys on. So parts
-- without a seal are never committed, and the price is paid once a transaction.
--
-- What the triggers do not rely on: pragmas (ignore_check_constraints, recursive_triggers, reverse_unordered_selects),
-- conflict clauses (REPLACE fires no delete trigger by default, so every insert first refuses to meet an existing
-- key). CHECKs hold shapes only; what an invariant needs is in a trigger. Names inside a trigger are of its own
-- database, never TEMP; triggers of others run before these. `pragma_foreign_keys()` is written as a call because a
-- table of that name cannot be called. Comparisons are IS NOT 1 throughout: a missing row gives NULL, and NULL would
-- let it pass. Whoever alters the schema (or writable_schema, or the file) gets past all this; self_check and the hash
-- chain show that.

CREATE TABLE ledger(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
  default_floor INTEGER CHECK (default_floor BETWEEN -4000000000000000000 AND 4000000000000000000),
  created_at INTEGER NOT NULL) STRICT;

CREATE TABLE asset(
  id INTEGER PRIMARY KEY,
  code TEXT NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 32),
  scale INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 18)) STRICT;

-- Which ledgers this transaction appends to. Never committed: there is no ledger 0.
CREATE TABLE appending(
  ledger INTEGER PRIMARY KEY,
  sealed INTEGER NOT NULL DEFAULT 0 REFERENCES ledger(id) DEFERRABLE INITIALLY DEFERRED,
  announced INTEGER,         -- the last record that was announced for examination,
  examined INTEGER) STRICT;  -- and the last that was examined

-- No personal data here: this row cannot be erased.
CREATE TABLE account(
  holder INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL,
  type INTEGER NOT NULL CHECK (type BETWEEN 1 AND 5), -- 1 asset, 2 liability, 3 equity, 4 income, 5 expense
  opened_seq INTEGER NOT NULL,
  id_high INTEGER NOT NULL, -- of the UUID (base/uuid.h): its first 64 bits,
  id_low INTEGER NOT NULL CHECK (id_low BETWEEN 0 AND 0x3ffff), -- its last 18; the number is between them
  external_id TEXT CHECK (length(external_id) BETWEEN 1 AND 255),
  ledger INTEGER GENERATED ALWAYS AS ((holder >> 36) + 1) VIRTUAL,
  number INTEGER GENERATED ALWAYS AS (holder & 0xfffffffff) VIRTUAL,
  side INTEGER GENERATED ALWAYS AS (CASE WHEN type IN (1, 5) THEN -1 ELSE 1 END) VIRTUAL) STRICT;
CREATE UNIQUE INDEX account_external ON account(ledger, external_id) WHERE external_id IS NOT NULL;

CREATE TABLE account_revision(
  place INTEGER PRIMARY KEY,
  account INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 3), -- 1 open, 2 frozen, 3 closed
  floor INTEGER CHECK (floor BETWEEN -4000000000000000000 AND 4000000000000000000),
  text_seq INTEGER, -- the record whose text has the account's name and metadata
  ledger INTEGER GENERATED ALWAYS AS ((place >> 47) + 1) VIRTUAL,
  seq INTEGER GENERATED ALWAYS AS (place >> 11 & 0xfffffffff) VIRTUAL) STRICT;
CREATE UNIQUE INDEX account_revision_account ON account_revision(ledger, account, revision);

CREATE TABLE journal(
  record INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  lots INTEGER NOT NULL, -- how many rows of `lot` the record has
  format INTEGER NOT NULL CHECK (format > 0),
  refusal INTEGER,
  declined_amount INTEGER NOT NULL,
  related_seq INTEGER,
  effective_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  id_high INTEGER NOT NULL, -- of the UUID, as with accounts; the seq is between them
  id_low INTEGER NOT NULL CHECK (id_low BETWEEN 0 AND 0x3ffff),
  idempotency_key TEXT CHECK (length(idempotency_key) BETWEEN 1 AND 255),
  request_hash BLOB CHECK (length(request_hash) = 32),
  reference TEXT CHECK (length(reference) BETWEEN 1 AND 255),
  actor TEXT CHECK (length(actor) BETWEEN 1 AND 64),
  trace_id BLOB CHECK (length(trace_id) = 16),
  text_digest BLOB CHECK (length(text_digest) = 32), -- of salt || body in record_text
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  ledger INTEGER GENERATED ALWAYS AS ((record >> 36) + 1) VIRTUAL,
  seq INTEGER GENERATED ALWAYS AS (record & 0xfffffffff) VIRTUAL) STRICT;
CREATE UNIQUE INDEX journal_idempotency ON journal(ledger, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX journal_erasure ON journal(ledger, related_seq) WHERE kind = 6;

-- The only erasable bytes: personal data can go, the hash chain still verifies.
CREATE TABLE record_text(
  record INTEGER PRIMARY KEY,
  salt BLOB NOT NULL CHECK (length(salt) = 16),
  body TEXT NOT NULL CHECK (length(body) <= 32768),
  ledger INTEGER GENERATED ALWAYS AS ((record >> 36) + 1) VIRTUAL,
  seq INTEGER GENERATED ALWAYS AS (record & 0xfffffffff) VIRTUAL) STRICT;

-- The newest row of an account is its whole head: amounts, floor and revision in force. Openings and revisions are
-- entries too (all amounts 0), so every entry but the first has a predecessor.
CREATE TABLE entry(
  place INTEGER PRIMARY KEY,
  account INTEGER NOT NULL,
  version INTEGER NOT NULL,
  asset INTEGER NOT NULL,
  side INTEGER NOT NULL, -- 1: credit is positive to the reader, -1: debit is
  revision INTEGER NOT NULL,
  floor INTEGER,
  posted INTEGER NOT NULL,
  incoming INTEGER NOT NULL,
  outgoing INTEGER NOT NULL,
  posted_after INTEGER NOT NULL,
  incoming_after INTEGER NOT NULL,
  outgoing_after INTEGER NOT NULL,
  effective_at INTEGER, -- the record's, if it was effective before it was recorded
  ledger INTEGER GENERATED ALWAYS AS ((place >> 47) + 1) VIRTUAL,
  seq INTEGER GENERATED ALWAYS AS (place >> 11 & 0xfffffffff) VIRTUAL,
  leg INTEGER GENERATED ALWAYS AS (place & 2047) VIRTUAL) STRICT;
CREATE UNIQUE INDEX entry_version ON entry(ledger, account, version);
CREATE INDEX entry_late ON entry(ledger, account, effective_at, version) WHERE effective_at IS NOT NULL;

-- An amount with a life of its own: 1 hold, 2 grant, 3 what is left to refund of a leg.
CREATE TABLE lot(
  place INTEGER PRIMARY KEY,
  origin INTEGER NOT NULL, -- the record and ...
  leg INTEGER NOT NULL,    -- ... the leg that brought it about
  kind INTEGER NOT NULL,
  version INTEGER NOT NULL,
  account INTEGER NOT NULL,
  change INTEGER NOT NULL,
  remaining_after INTEGER NOT NULL,
  due_at INTEGER,
  ledger INTEGER GENERATED ALWAYS AS ((place >> 47) + 1) VIRTUAL,
  seq INTEGER GENERATED ALWAYS AS (place >> 11 & 0xfffffffff) VIRTUAL) STRICT;
CREATE UNIQUE INDEX lot_version ON lot(ledger, origin, leg, kind, version);

-- Ids as people read them.
CREATE VIEW account_id AS SELECT ledger, number,
    printf('%08x-%04x-%04x-%04x-%012x', id_high >> 32 & 0xffffffff, id_high >> 16 & 0xffff, id_high & 0xffff,
      0x8000 | number >> 30, (number & 0x3fffffff) << 18 | id_low) AS id
  FROM account;
CREATE VIEW record_id AS SELECT ledger, seq,
    printf('%08x-%04x-%04x-%04x-%012x', id_high >> 32 & 0xffffffff, id_high >> 16 & 0xffff, id_high & 0xffff,
      0x8000 | seq >> 30, (seq & 0x3fffffff) << 18 | id_low) AS id
  FROM journal;

CREATE TRIGGER ledger_insert BEFORE INSERT ON ledger BEGIN
  SELECT CASE
    WHEN NEW.id IS NOT (SELECT ifnull(max(id), 0) + 1 FROM ledger) OR NEW.id > 65535
      THEN RAISE(FAIL, 'I7: ledgers are numbered 1, 2, 3 ...')
    WHEN EXISTS (SELECT 1 FROM ledger WHERE name = NEW.name)
      THEN RAISE(FAIL, 'I7: this ledger exists')
  END;
END;

CREATE TRIGGER asset_insert BEFORE INSERT ON asset BEGIN
  SELECT CASE
    WHEN NEW.id IS NOT (SELECT ifnull(max(id), 0) + 1 FROM asset) OR NEW.id > 65535
      THEN RAISE(FAIL, 'I7: assets are numbered 1, 2, 3 ...')
    WHEN EXISTS (SELECT 1 FROM asset WHERE code = NEW.code)
      THEN RAISE(FAIL, 'I7: this asset exists')
  END;
END;

-- I1: parts without a seal are never committed.
CREATE TRIGGER appending_insert BEFORE INSERT ON appending BEGIN
  SELECT CASE
    WHEN (SELECT foreign_keys FROM pragma_foreign_keys()) IS NOT 1
      THEN RAISE(FAIL, 'I1: appending needs PRAGMA foreign_keys = ON')
    WHEN NEW.sealed IS NOT 0 OR NEW.announced IS NOT NULL OR NEW.examined IS NOT NULL
      THEN RAISE(FAIL, 'I1: appending is never sealed')
    WHEN EXISTS (SELECT 1 FROM appending WHERE ledger = NEW.ledger)
      THEN RAISE(FAIL, 'I1: this ledger is being appended to')
  END;
END;
-- Accounts come only after their revision, lots and texts only after leg 0: these two tables stand for all parts.
CREATE TRIGGER appending_delete BEFORE DELETE ON appending BEGIN
  SELECT RAISE(FAIL, 'I1: a record was announced and not examined') WHERE OLD.announced IS NOT OLD.examined;
  SELECT RAISE(FAIL, 'I1: parts of a record without the record')
    FROM (SELECT ifnull((SELECT record FROM journal
        WHERE record BETWEEN (OLD.ledger - 1) << 36 AND (OLD.ledger - 1) << 36 | 0xfffffffff
        ORDER BY record DESC LIMIT 1), (OLD.ledger - 1) << 36) AS head)
    WHERE EXISTS (SELECT 1 FROM entry WHERE place BETWEEN (head + 1) << 11 AND (OLD.ledger << 47) - 1)
      OR EXISTS (SELECT 1 FROM account_revision WHERE place BETWEEN (head + 1) << 11 AND (OLD.ledger << 47) - 1);
END;

CREATE TRIGGER account_revision_insert BEFORE INSERT ON account_revision BEGIN
  SELECT CASE
    WHEN NEW.place >> 11 IS NOT (SELECT announced FROM appending WHERE ledger = (NEW.place >> 47) + 1)
        OR EXISTS (SELECT 1 FROM journal WHERE record = NEW.place >> 11)
      THEN RAISE(FAIL, 'I1: revision of another record than the one announced')
    WHEN NEW.revision IS NOT ifnull((SELECT revision FROM account_revision
        WHERE ledger = (NEW.place >> 47) + 1 AND account = NEW.account ORDER BY revision DESC LIMIT 1), 0) + 1
      THEN RAISE(FAIL, 'I4: not the next revision of the account')
    WHEN NEW.text_seq IS NOT NULL AND NEW.text_seq IS NOT NEW.place >> 11 & 0xfffffffff
        AND NEW.text_seq IS NOT (SELECT text_seq FROM account_revision
          WHERE ledger = (NEW.place >> 47) + 1 AND account = NEW.account ORDER BY revision DESC LIMIT 1)
      THEN RAISE(FAIL, 'I4: text_seq is neither this record nor what it was')
  END;
END;

CREATE TRIGGER account_insert BEFORE INSERT ON account BEGIN
  SELECT CASE
    WHEN NEW.holder IS NOT ifnull((SELECT holder FROM account
        WHERE holder BETWEEN (NEW.holder >> 36) << 36 AND (NEW.holder >> 36) << 36 | 0xfffffffff
        ORDER BY holder DESC LIMIT 1), (NEW.holder >> 36) << 36) + 1
      THEN RAISE(FAIL, 'I7: accounts are numbered 1, 2, 3 ...')
    WHEN EXISTS (SELECT 1 FROM journal
        WHERE record BETWEEN (NEW.holder >> 36) << 36 | NEW.opened_seq AND (NEW.holder >> 36) << 36 | 0xfffffffff)
      OR NOT EXISTS (SELECT 1 FROM account_revision
        WHERE ledger = (NEW.holder >> 36) + 1 AND account = NEW.holder & 0xfffffffff
          AND place >> 11 = (NEW.holder >> 36) << 36 | NEW.opened_seq)
      THEN RAISE(FAIL, 'I1: account without its first revision')
    WHEN EXISTS (SELECT 1 FROM account WHERE ledger = (NEW.holder >> 36) + 1 AND external_id = NEW.external_id)
      THEN RAISE(FAIL, 'I7: this external_id exists')
    WHEN NOT EXISTS (SELECT 1 FROM asset WHERE id = NEW.asset)
      THEN RAISE(FAIL, 'I4: no such asset')
  END;
END;

-- I1 I4 I5 I6: an entry belongs to the record being written, continues the head of its account and keeps its floor.
CREATE TRIGGER entry_insert BEFORE INSERT ON entry BEGIN
  SELECT CASE
    WHEN NEW.place >> 11 IS NOT ifnull((SELECT record FROM journal
        WHERE record BETWEEN NEW.place >> 47 << 36 AND NEW.place >> 47 << 36 | 0xfffffffff
        ORDER BY record DESC LIMIT 1), NEW.place >> 47 << 36) + 1
      THEN RAISE(FAIL, 'I1: entry of another record than the next')
    WHEN NEW.place & 2047 IS NOT ifnull((SELECT place & 2047 FROM entry
        WHERE place BETWEEN NEW.place >> 11 << 11 AND NEW.place | 2047 ORDER BY place DESC LIMIT 1), -1) + 1
      THEN RAISE(FAIL, 'I1: legs are not 0, 1, 2 ...')
    WHEN NEW.place & 2047 = 0 AND NOT EXISTS (SELECT 1 FROM appending WHERE ledger = (NEW.place >> 47) + 1)
      THEN RAISE(FAIL, 'I1: nothing is being appended to this ledger')
    -- A first version or a new revision needs its revision's row; the rest is looked at when the record is examined.
    WHEN NOT EXISTS (SELECT 1 FROM (SELECT * FROM entry WHERE ledger = (NEW.place >> 47) + 1 AND account = NEW.account
            ORDER BY version DESC LIMIT 1)
          WHERE NEW.version = version + 1 AND NEW.posted_after = posted_after + NEW.posted
            AND NEW.incoming_after = incoming_after + NEW.incoming
            AND NEW.outgoing_after = outgoing_after + NEW.outgoing AND NEW.asset = asset AND NEW.side = side
            AND CASE WHEN NEW.revision = revision THEN NEW.floor IS floor ELSE NEW.revision = revision + 1
              AND EXISTS (SELECT 1 FROM account_revision WHERE place = NEW.place) END)
        AND (NEW.version <> 1
          OR EXISTS (SELECT 1 FROM entry WHERE ledger = (NEW.place >> 47) + 1 AND account = NEW.account)
          OR NOT EXISTS (SELECT 1 FROM account_revision WHERE place = NEW.place))
      THEN RAISE(FAIL, 'I4: entry does not continue its account')
    WHEN NEW.posted_after NOT BETWEEN -4000000000000000000 AND 4000000000000000000
      THEN RAISE(FAIL, 'I4: posted_after is out of range')
    WHEN NEW.incoming_after NOT BETWEEN 0 AND 4000000000000000000
        OR NEW.outgoing_after NOT BETWEEN 0 AND 4000000000000000000
      THEN RAISE(FAIL, 'I5: pending amounts are out of range')
    WHEN NEW.floor > CASE WHEN NEW.side > 0 THEN NEW.posted_after - NEW.outgoing_after
          ELSE -NEW.posted_after - NEW.incoming_after END
        AND CASE WHEN NEW.side > 0 THEN NEW.posted - NEW.outgoing ELSE -NEW.posted - NEW.incoming END < 0
      THEN RAISE(FAIL, 'I6: available would fall below the floor')
  END;
END;

CREATE TRIGGER lot_insert BEFORE INSERT ON lot BEGIN
  SELECT CASE
    WHEN NEW.place >> 11 IS NOT (SELECT announced FROM appending WHERE ledger = (NEW.place >> 47) + 1)
        OR EXISTS (SELECT 1 FROM journal WHERE record = NEW.place >> 11)
        OR NOT EXISTS (SELECT 1 FROM entry WHERE place = NEW.place >> 11 << 11)
      THEN RAISE(FAIL, 'I1: lot of another record than the one announced')
    WHEN (NEW.place >> 11 << 11) - 1 + (SELECT count(*) FROM lot
        WHERE place BETWEEN NEW.place >> 11 << 11 AND NEW.place | 2047) IS NOT NEW.place - 1
      THEN RAISE(FAIL, 'I1: lots are numbered 0, 1, 2 ...')
    WHEN (NEW.kind BETWEEN 1 AND 3 AND NEW.change <> 0) IS NOT 1
      THEN RAISE(FAIL, 'I5: no such lot')
    WHEN CASE WHEN NEW.version = 1
        THEN EXISTS (SELECT 1 FROM lot WHERE ledger = (NEW.place >> 47) + 1 AND origin = NEW.origin AND leg = NEW.leg
            AND kind = NEW.kind)
          OR (SELECT e.account = NEW.account AND NEW.remaining_after = NEW.change
              AND NEW.change = CASE NEW.kind WHEN 1 THEN e.outgoing WHEN 2 THEN e.posted * e.side ELSE abs(e.posted) END
              AND CASE NEW.kind WHEN 3 THEN e.place >> 11 < NEW.place >> 11 ELSE e.place >> 11 = NEW.place >> 11 END
            FROM entry e WHERE e.place = ((NEW.place >> 47) << 36 | NEW.origin) << 11 | NEW.leg
              AND NEW.origin BETWEEN 1 AND 0xfffffffff AND NEW.leg BETWEEN 0 AND 2047) IS NOT 1
        ELSE (SELECT NEW.version = p.version + 1 AND NEW.account = p.account
              AND NEW.remaining_after = p.remaining_after + NEW.change
            FROM lot p WHERE p.ledger = (NEW.place >> 47) + 1 AND p.origin = NEW.origin AND p.leg = NEW.leg
              AND p.kind = NEW.kind ORDER BY p.version DESC LIMIT 1) IS NOT 1
        END
      THEN RAISE(FAIL, 'I5: lot does not continue, or is not its leg')
    WHEN (NEW.remaining_after BETWEEN 0 AND 4000000000000000000) IS NOT 1
      THEN RAISE(FAIL, 'I5: less than nothing would remain')
  END;
END;

CREATE TRIGGER record_text_insert BEFORE INSERT ON record_text BEGIN
  SELECT CASE
    WHEN NOT EXISTS (SELECT 1 FROM entry WHERE place = NEW.record << 11)
        OR EXISTS (SELECT 1 FROM journal WHERE record = NEW.record)
      THEN RAISE(FAIL, 'I1: text of another record than the next')
  END;
END;

-- I1 I2 I3 I8: the seal. SQLite sets up the whole program of a trigger each time it runs, so what is seldom needed is in
-- one that seldom runs: a record that is more than a plain transfer (entries of one asset, nothing pending, not
-- backdated) is announced before its parts are written and examined after its seal, when nothing of it can change.
CREATE TRIGGER journal_insert BEFORE INSERT ON journal BEGIN
  SELECT CASE
    WHEN ifnull((SELECT NEW.record = p.record + 1 AND NEW.recorded_at >= p.recorded_at FROM journal p
          WHERE p.record BETWEEN NEW.record >> 36 << 36 AND NEW.record >> 36 << 36 | 0xfffffffff
          ORDER BY p.record DESC LIMIT 1),
        (SELECT NEW.record & 0xfffffffff = 1 AND NEW.recorded_at >= created_at
          FROM ledger WHERE id = (NEW.record >> 36) + 1)) IS NOT 1
      THEN RAISE(FAIL, 'I1: not the next record, or recorded_at runs backwards')
    WHEN NEW.idempotency_key IS NOT NULL AND EXISTS (SELECT 1 FROM journal
        WHERE ledger = (NEW.record >> 36) + 1 AND idempotency_key = NEW.idempotency_key)
      THEN RAISE(FAIL, 'I8: this idempotency key exists')
    WHEN (NEW.idempotency_key IS NULL) <> (NEW.request_hash IS NULL)
      THEN RAISE(FAIL, 'I8: an idempotency key and a request hash go together')
    WHEN (NEW.text_digest IS NULL) = EXISTS (SELECT 1 FROM record_text WHERE record = NEW.record)
      THEN RAISE(FAIL, 'I1: a text and its digest go together')
    WHEN NEW.record IS NOT (SELECT announced FROM appending WHERE ledger = (NEW.record >> 36) + 1)
        AND (SELECT NEW.kind = 3 AND NEW.lots = 0 AND NEW.refusal IS NULL AND NEW.related_seq IS NULL
            AND NEW.declined_amount = 0 AND NEW.effective_at = NEW.recorded_at
            AND sum(posted) = 0 AND min(asset) = max(asset)
            AND min(version > 1 AND posted <> 0 AND incoming = 0 AND outgoing = 0 AND effective_at IS NULL)
          FROM entry WHERE place BETWEEN NEW.record << 11 AND NEW.record << 11 | 2047) IS NOT 1
      THEN RAISE(FAIL, 'I2: neither a balanced plain transfer nor announced for examination')
  END;
END;

CREATE TRIGGER appending_update BEFORE UPDATE ON appending BEGIN
  SELECT CASE
    WHEN NEW.ledger IS NOT OLD.ledger OR NEW.sealed IS NOT 0
      THEN RAISE(FAIL, 'I1: appending is never sealed')
    WHEN NEW.announced IS NOT OLD.announced AND (OLD.announced IS NOT OLD.examined
        OR NEW.announced IS NOT ifnull((SELECT record FROM journal
          WHERE record BETWEEN (NEW.ledger - 1) << 36 AND (NEW.ledger - 1) << 36 | 0xfffffffff
          ORDER BY record DESC LIMIT 1), (NEW.ledger - 1) << 36) + 1)
      THEN RAISE(FAIL, 'I1: only the next record can be announced, and one after the other')
  END;
  SELECT CASE
    WHEN (j.kind BETWEEN 1 AND 12) IS NOT 1
      THEN RAISE(FAIL, 'I1: no such record, or no such kind of record')
    WHEN j.effective_at > j.recorded_at
      THEN RAISE(FAIL, 'I1: effective_at lies in the future')
    WHEN j.lots IS NOT (SELECT count(*) FROM lot WHERE place BETWEEN first AND last)
      THEN RAISE(FAIL, 'I1: lots are not as many as the record says')
    WHEN j.kind NOT IN (1, 2) AND EXISTS (SELECT 1 FROM account_revision WHERE place BETWEEN first AND last)
      THEN RAISE(FAIL, 'I1: only openings and revisions revise an account')
    WHEN NOT EXISTS (SELECT 1 FROM entry WHERE place = first)
      THEN RAISE(FAIL, 'I1: record without entries')
    WHEN EXISTS (SELECT 1 FROM entry WHERE place BETWEEN first AND last
        AND effective_at IS NOT CASE WHEN j.effective_at < j.recorded_at THEN j.effective_at END)
      THEN RAISE(FAIL, 'I1: effective_at of the entries is not the record''s')
    WHEN (j.kind = 5) <> (j.refusal IS NOT NULL) OR j.kind <> 5 AND j.declined_amount IS NOT 0
      THEN RAISE(FAIL, 'I1: a refusal is there for declined records only')
    WHEN CASE WHEN j.related_seq IS NULL THEN j.kind IN (4, 6) ELSE j.kind IN (1, 2, 3)
        OR j.related_seq NOT BETWEEN 1 AND (j.record & 0xfffffffff) - 1 END
      THEN RAISE(FAIL, 'I1: related_seq does not fit the kind of record')
    WHEN EXISTS (SELECT 1 FROM entry WHERE place BETWEEN first AND last
        AND j.kind IN (1, 2) AND (posted <> 0 OR incoming <> 0 OR outgoing <> 0))
      THEN RAISE(FAIL, 'I4: openings and revisions move nothing')
    WHEN EXISTS (SELECT 1 FROM entry WHERE place BETWEEN first AND last
        AND CASE WHEN j.kind IN (5, 6) THEN posted <> 0 OR incoming <> 0 OR outgoing <> 0
          WHEN j.kind IN (3, 4) THEN posted = 0 OR incoming <> 0 OR outgoing <> 0 END)
      THEN RAISE(FAIL, 'I2: declines and erasures move nothing, transfers and reversals posted amounts only')
    WHEN EXISTS (SELECT 1 FROM entry WHERE place BETWEEN first AND last
        GROUP BY asset HAVING sum(posted) <> 0)
      THEN RAISE(FAIL, 'I2: record does not balance')
    WHEN EXISTS (SELECT 1 FROM entry WHERE place BETWEEN first AND last
        GROUP BY asset HAVING sum(incoming) <> sum(outgoing))
      THEN RAISE(FAIL, 'I3: pending does not balance')
    WHEN j.kind IN (1, 5) AND EXISTS (SELECT 1 FROM entry WHERE place BETWEEN first + 1 AND last)
      THEN RAISE(FAIL, 'I1: an opening and a decline have one entry')
    WHEN EXISTS (SELECT 1 FROM entry WHERE place BETWEEN first AND last AND (version = 1) <> (j.kind = 1))
      THEN RAISE(FAIL, 'I4: the first version of an account is its opening')
    WHEN j.kind IN (1, 2) AND EXISTS (SELECT 1 FROM (
          SELECT place FROM account_revision WHERE place BETWEEN first AND last
          UNION ALL SELECT place FROM entry WHERE place BETWEEN first AND last)
        GROUP BY place HAVING count(*) <> 2)
      THEN RAISE(FAIL, 'I1: revision without its entry')
    WHEN j.kind IN (1, 2) AND EXISTS (SELECT 1 FROM entry e JOIN account_revision v ON v.place = e.place
        WHERE e.place BETWEEN first AND last
          AND (v.account <> e.account OR v.revision <> e.revision OR v.floor IS NOT e.floor))
      THEN RAISE(FAIL, 'I4: revision is not that of its entry')
    WHEN j.kind = 1 AND NOT EXISTS (SELECT 1 FROM entry e JOIN account a
          ON a.holder = e.place >> 47 << 36 | e.account
        WHERE e.place = first AND a.asset = e.asset AND a.side = e.side
          AND e.posted_after = 0 AND e.incoming_after = 0 AND e.outgoing_after = 0)
      THEN RAISE(FAIL, 'I4: entry is not the opening of its account')
    WHEN j.text_digest IS NULL AND EXISTS (SELECT 1 FROM account_revision
        WHERE place BETWEEN first AND last AND text_seq = j.record & 0xfffffffff)
      THEN RAISE(FAIL, 'I1: revision names a text that is not there')
    WHEN EXISTS (SELECT 1 FROM lot WHERE place BETWEEN first AND last
        AND CASE WHEN j.kind = 4 THEN kind <> 3 OR origin IS NOT j.related_seq
          WHEN j.kind >= 7 THEN kind = 3 ELSE 1 END)
      THEN RAISE(FAIL, 'I5: lot that this kind of record does not have')
    WHEN j.kind >= 7 AND EXISTS (SELECT 1 FROM (
          SELECT account, outgoing AS amount FROM entry
            WHERE place BETWEEN first AND last
          UNION ALL SELECT account, -change FROM lot
            WHERE place BETWEEN first AND last AND kind = 1)
        GROUP BY account HAVING sum(amount) <> 0)
      THEN RAISE(FAIL, 'I5: outgoing is not its holds')
    WHEN j.kind = 4 AND (SELECT kind FROM journal
        WHERE record = j.record >> 36 << 36 | j.related_seq) IS NOT 3
      THEN RAISE(FAIL, 'I5: only a transfer can be reversed')
    -- Every entry of a reversal takes as much from what is left to refund of a leg with the other sign.
    WHEN j.kind = 4 AND EXISTS (SELECT 1 FROM (
          SELECT account, posted, 1 AS n FROM entry
            WHERE place BETWEEN first AND last
          UNION ALL SELECT l.account, CASE WHEN e.posted > 0 THEN l.change ELSE -l.change END, -1
            FROM lot l JOIN entry e ON e.place = (j.record >> 36 << 36 | l.origin) << 11 | l.leg
            WHERE l.place BETWEEN first AND last AND l.change < 0)
        GROUP BY account, posted HAVING sum(n) <> 0)
      THEN RAISE(FAIL, 'I5: reversal is not what it takes from its original')
    WHEN j.kind = 4 AND EXISTS (SELECT 1 FROM lot
        WHERE place BETWEEN first AND last
        GROUP BY origin, leg HAVING sum(change < 0) <> 1 OR sum(change > 0) <> (min(version) = 1))
      THEN RAISE(FAIL, 'I5: a reversal takes from each leg once')
    WHEN j.kind = 6 AND (SELECT text_digest FROM journal
        WHERE record = j.record >> 36 << 36 | j.related_seq) IS NULL
      THEN RAISE(FAIL, 'I7: there is no text to erase')
  END
  FROM (SELECT NEW.examined << 11 AS first, NEW.examined << 11 | 2047 AS last)
  LEFT JOIN journal j ON j.record = NEW.examined
  WHERE NEW.examined IS NOT OLD.examined;
  -- An erasure erases: no program can record one and forget the text.
  DELETE FROM record_text WHERE record = (SELECT j.record >> 36 << 36 | j.related_seq FROM journal j
    WHERE j.record = NEW.examined AND j.kind = 6);
  SELECT RAISE(FAIL, 'I7: the text was not erased') WHERE EXISTS (SELECT 1 FROM record_text
    WHERE record = (SELECT j.record >> 36 << 36 | j.related_seq FROM journal j
      WHERE j.record = NEW.examined AND j.kind = 6));
END;

-- I7
CREATE TRIGGER record_text_delete BEFORE DELETE ON record_text BEGIN
  SELECT RAISE(FAIL, 'I7: only an erasure deletes a text') WHERE NOT EXISTS (SELECT 1 FROM journal
    WHERE kind = 6 AND ledger = (OLD.record >> 36) + 1 AND related_seq = OLD.record & 0xfffffffff);
END;
CREATE TRIGGER record_text_update BEFORE UPDATE ON record_text BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER ledger_update BEFORE UPDATE ON ledger BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER ledger_delete BEFORE DELETE ON ledger BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER asset_update BEFORE UPDATE ON asset BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER asset_delete BEFORE DELETE ON asset BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER account_update BEFORE UPDATE ON account BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER account_delete BEFORE DELETE ON account BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER account_revision_update BEFORE UPDATE ON account_revision BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER account_revision_delete BEFORE DELETE ON account_revision BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER journal_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER journal_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER entry_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER entry_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER lot_update BEFORE UPDATE ON lot BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
CREATE TRIGGER lot_delete BEFORE DELETE ON lot BEGIN SELECT RAISE(FAIL, 'I7: the journal is append-only'); END;
