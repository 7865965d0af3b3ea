-- The journal over PostgreSQL >= 15: tables, and what the database itself enforces of them (I1 to I8,
-- docs/invariants.md). The append path's functions are in 0002_append.sql, the views for people in 0003_views.sql.
--
-- `ledger` leads every key, so that a distributed database can keep a ledger in one place. Ids of records and accounts
-- are UUIDs (version 7) that carry the seq or number in their middle bits; what is stored is the bits around it, so
-- that an id cannot disagree with the row it stands in (view `account`, view `record` show them whole).
--
-- Columns are in the order of their width: PostgreSQL pads between them otherwise, and rows are what the disk writes.
--
-- What one row alone can break is a CHECK, named by its invariant (i6_floor: I6); the plain profile has those and the
-- keys. What needs other rows is in the triggers further down.

CREATE TABLE creditledger.ledger(
  created_at bigint NOT NULL,
  default_floor bigint CONSTRAINT i4_default_floor CHECK (default_floor BETWEEN -4000000000000000000 AND 4000000000000000000),
  id int NOT NULL CONSTRAINT i7_ledger PRIMARY KEY CONSTRAINT i7_ledger_id CHECK (id BETWEEN 1 AND 65535),
  name text COLLATE "C" NOT NULL CONSTRAINT i7_ledger_name UNIQUE CONSTRAINT i1_ledger_name CHECK (octet_length(name) BETWEEN 1 AND 64));

CREATE TABLE creditledger.asset(
  id int NOT NULL CONSTRAINT i7_asset PRIMARY KEY CONSTRAINT i7_asset_id CHECK (id BETWEEN 1 AND 65535),
  scale smallint NOT NULL CONSTRAINT i1_scale CHECK (scale BETWEEN 0 AND 18),
  code text COLLATE "C" NOT NULL CONSTRAINT i7_code UNIQUE CONSTRAINT i1_code CHECK (octet_length(code) BETWEEN 1 AND 32));

-- No personal data here: this row cannot be erased.
CREATE TABLE creditledger.account(
  number bigint NOT NULL CONSTRAINT i7_number CHECK (number > 0),
  opened_seq bigint NOT NULL,
  id_high bigint NOT NULL,                                        -- of the UUID: its first 64 bits,
  id_low int NOT NULL CONSTRAINT i1_account_id CHECK (id_low BETWEEN 0 AND 262143), -- its last 18; the number is between them
  ledger int NOT NULL,
  asset int NOT NULL,
  type smallint NOT NULL CONSTRAINT i1_type CHECK (type BETWEEN 1 AND 5), -- 1 asset, 2 liability, 3 equity, 4 income, 5 expense
  external_id text COLLATE "C" CONSTRAINT i1_external_id CHECK (octet_length(external_id) BETWEEN 1 AND 255),
  PRIMARY KEY (ledger, number));
CREATE UNIQUE INDEX account_external ON creditledger.account(ledger, external_id) WHERE external_id IS NOT NULL;

CREATE TABLE creditledger.account_revision(
  account bigint NOT NULL,
  seq bigint NOT NULL,
  floor bigint CONSTRAINT i4_floor CHECK (floor BETWEEN -4000000000000000000 AND 4000000000000000000),
  text_seq bigint,                                                -- the record whose text has name and metadata
  ledger int NOT NULL,
  revision int NOT NULL CONSTRAINT i4_revision CHECK (revision > 0),
  leg smallint NOT NULL,                                          -- of its entry in record `seq`
  status smallint NOT NULL CONSTRAINT i4_status CHECK (status BETWEEN 1 AND 3), -- 1 open, 2 frozen, 3 closed
  PRIMARY KEY (ledger, account, revision));
CREATE UNIQUE INDEX account_revision_record ON creditledger.account_revision(ledger, seq, leg);

CREATE TABLE creditledger.journal(
  seq bigint NOT NULL CONSTRAINT i1_seq CHECK (seq > 0),
  effective_at bigint NOT NULL,
  recorded_at bigint NOT NULL,
  id_high bigint NOT NULL,                                        -- of the UUID, as with accounts
  declined_amount bigint NOT NULL,
  related_seq bigint,
  ledger int NOT NULL,
  id_low int NOT NULL CONSTRAINT i1_record_id CHECK (id_low BETWEEN 0 AND 262143),
  refusal int,
  kind smallint NOT NULL CONSTRAINT i1_kind CHECK (kind BETWEEN 1 AND 12),
      -- 1 opening, 2 revision, 3 transfer, 4 reversal, 5 declined, 6 erasure, 7 hold, 8 capture, 9 void, 10 grant, 11 expiry, 12 exchange
  lots smallint NOT NULL CONSTRAINT i1_lots CHECK (lots >= 0),    -- how many rows of `lot` the record has
  format smallint NOT NULL CONSTRAINT i1_format CHECK (format > 0),
  hash bytea NOT NULL CONSTRAINT i1_hash CHECK (octet_length(hash) = 32),
  request_hash bytea CONSTRAINT i8_request_hash CHECK (octet_length(request_hash) = 32),
  idempotency_key text COLLATE "C" CONSTRAINT i8_key CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
  reference text COLLATE "C" CONSTRAINT i1_reference CHECK (octet_length(reference) BETWEEN 1 AND 255),
  actor text COLLATE "C" CONSTRAINT i1_actor CHECK (octet_length(actor) BETWEEN 1 AND 64),
  trace_id bytea CONSTRAINT i1_trace_id CHECK (octet_length(trace_id) = 16),
  text_digest bytea CONSTRAINT i1_text_digest CHECK (octet_length(text_digest) = 32), -- of salt || body in record_text
  CONSTRAINT journal_seq PRIMARY KEY (ledger, seq),
  CONSTRAINT i1_effective_at CHECK (effective_at <= recorded_at),
  CONSTRAINT i1_refusal CHECK ((kind = 5) = (refusal IS NOT NULL) AND (kind = 5 OR declined_amount = 0)),
  CONSTRAINT i1_related CHECK (CASE WHEN related_seq IS NULL THEN kind NOT IN (4, 6)
    ELSE kind > 3 AND related_seq BETWEEN 1 AND seq - 1 END),
  CONSTRAINT i5_lots CHECK (lots = 0 OR kind = 4 OR kind > 6),
  CONSTRAINT i8_request CHECK ((idempotency_key IS NULL) = (request_hash IS NULL)));
CREATE UNIQUE INDEX journal_idempotency ON creditledger.journal(ledger, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX journal_erasure ON creditledger.journal(ledger, related_seq) WHERE kind = 6;

-- The only erasable bytes: personal data can go, the hash chain still verifies.
CREATE TABLE creditledger.record_text(
  seq bigint NOT NULL,
  ledger int NOT NULL,
  salt bytea NOT NULL CONSTRAINT i1_salt CHECK (octet_length(salt) = 16),
  body text COLLATE "C" NOT NULL CONSTRAINT i1_body CHECK (octet_length(body) <= 32768),
  PRIMARY KEY (ledger, seq));

-- The newest row of an account is its whole head: amounts, floor and revision in force. Openings and revisions are
-- entries too (all amounts 0), so every entry but the first has a predecessor.
CREATE TABLE creditledger.entry(
  seq bigint NOT NULL,
  account bigint NOT NULL,
  version bigint NOT NULL CONSTRAINT i4_version CHECK (version > 0),
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
  side smallint NOT NULL CONSTRAINT i4_side CHECK (side IN (1, -1)), -- 1: credit is positive to the reader, -1: debit is
  PRIMARY KEY (ledger, seq, leg),
  CONSTRAINT entry_version UNIQUE (ledger, account, version),
  CONSTRAINT i4_range CHECK (posted_after BETWEEN -4000000000000000000 AND 4000000000000000000),
  CONSTRAINT i5_pending CHECK (incoming_after BETWEEN 0 AND 4000000000000000000
    AND outgoing_after BETWEEN 0 AND 4000000000000000000),
  CONSTRAINT i6_floor CHECK (floor IS NULL
    OR CASE WHEN side > 0 THEN posted_after - outgoing_after ELSE -posted_after - incoming_after END >= floor
    OR CASE WHEN side > 0 THEN posted >= outgoing ELSE posted <= -incoming END));
CREATE INDEX entry_late ON creditledger.entry(ledger, account, effective_at, version) WHERE effective_at IS NOT NULL;

-- An amount with a life of its own: 1 hold, 2 grant, 3 what is left to refund of a leg.
CREATE TABLE creditledger.lot(
  origin bigint NOT NULL,                                         -- the record and leg that brought it about
  seq bigint NOT NULL,                                            -- the record that changed it
  account bigint NOT NULL,
  change bigint NOT NULL CONSTRAINT i5_change CHECK (change <> 0),
  remaining_after bigint NOT NULL CONSTRAINT i5_remaining CHECK (remaining_after BETWEEN 0 AND 4000000000000000000),
  due_at bigint,
  ledger int NOT NULL,
  version int NOT NULL CONSTRAINT i5_version CHECK (version > 0),
  leg smallint NOT NULL,
  kind smallint NOT NULL CONSTRAINT i5_kind CHECK (kind BETWEEN 1 AND 3),
  place smallint NOT NULL,                                        -- its place among the lots of record `seq`: 0, 1, 2 ...
  CONSTRAINT i5_lot PRIMARY KEY (ledger, origin, leg, kind, version));
CREATE UNIQUE INDEX lot_record ON creditledger.lot(ledger, seq, place);

-- Not in the plain profile:
-- I1 to I8 by triggers.
--
-- A record and its rows are inserted by ONE statement, WITH ... INSERT ..., for any number of records:
--     WITH e AS (INSERT INTO entry ...), l AS (INSERT INTO lot ...) INSERT INTO journal ...
-- The triggers fire once for each table when the whole statement is done, and see all of it. Parts without their
-- record are refused, a record without its parts too, so two statements never get anywhere, in whichever order.
--
-- Why nothing slips between the tables, even if somebody nests one insert in another: a record's entries come in one
-- go, because those of each go are numbered 0, 1, 2 ... and leg 0 is there only once; its lots likewise. The check of
-- the entries demands that the journal's row and as many lots as it says are there, and then examines all of them together;
-- what it saw can neither change nor become more. The other checks demand their own row's counterpart.
--
-- What was read may be old (REPEATABLE READ): so no check relies on a row that is *not* there, other than through a
-- unique key, which sees what others commit. (The absence of a text is no exception: see record_text_check.)
--
-- What the checks do not rely on: settings of the session. Names are qualified and the search path is fixed, so that
-- temporary objects of the same name are not met; triggers fire ALWAYS, for replication too. The plans' shape is
-- fixed by the functions' settings: index lookups, whatever the statistics say. (A settings list alone discourages, no
-- more: lookups are LATERAL with LIMIT 1, or scalar subqueries, which the planner cannot make another join of.)
-- They run as who inserts, who needs SELECT for it. Who alters the schema gets past all this; self_check and the hash
-- chain show that.

CREATE FUNCTION creditledger.refuse_change() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'I7: % on % is refused: the journal is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'CL007';
END $$;

-- Messages begin with the invariant's number, and so does the error code end: I4 is CL004.
CREATE FUNCTION creditledger.refuse(why text, ledger int, seq bigint) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '% (record %/%)', why, ledger, seq USING ERRCODE = 'CL00' || substr(why, 2, 1);
END $$;

CREATE FUNCTION creditledger.ledger_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM fresh n WHERE n.id > 1
      AND NOT EXISTS (SELECT FROM creditledger.ledger l WHERE l.id = n.id - 1)) THEN
    RAISE EXCEPTION 'I7: ledgers are numbered 1, 2, 3 ...' USING ERRCODE = 'CL007';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION creditledger.asset_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM fresh n WHERE n.id > 1
      AND NOT EXISTS (SELECT FROM creditledger.asset a WHERE a.id = n.id - 1)) THEN
    RAISE EXCEPTION 'I7: assets are numbered 1, 2, 3 ...' USING ERRCODE = 'CL007';
  END IF;
  RETURN NULL;
END $$;

-- I1, I7: an account comes with its opening, which its entry's check has looked at, and in the order of numbers.
CREATE FUNCTION creditledger.account_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_memoize = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  r record;
BEGIN
  SELECT f.* INTO r FROM (SELECT n.ledger, n.opened_seq, CASE
      WHEN n.number > 1 AND ((SELECT a.opened_seq FROM creditledger.account a
          WHERE a.ledger = n.ledger AND a.number = n.number - 1) < n.opened_seq) IS NOT TRUE
        THEN 'I7: accounts are numbered 1, 2, 3 ... in the order of their openings'
      WHEN (SELECT e.seq FROM creditledger.entry e
          WHERE e.ledger = n.ledger AND e.account = n.number AND e.version = 1) IS DISTINCT FROM n.opened_seq
        THEN 'I1: account without its opening'
      WHEN (SELECT x.id FROM creditledger.asset x WHERE x.id = n.asset) IS NULL
        THEN 'I4: no such asset'
      END AS why FROM fresh n) f WHERE f.why IS NOT NULL LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse(r.why, r.ledger, r.opened_seq);
  END IF;
  RETURN NULL;
END $$;

-- I1, I4: a revision comes with its entry, which is compared with it by the entry's check.
CREATE FUNCTION creditledger.account_revision_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_memoize = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  r record;
BEGIN
  SELECT f.* INTO r FROM (SELECT n.ledger, n.seq, CASE
      WHEN j.kind IN (1, 2) IS NOT TRUE
        THEN 'I1: only openings and revisions revise an account'
      WHEN (SELECT e.leg FROM creditledger.entry e
          WHERE e.ledger = n.ledger AND e.seq = n.seq AND e.leg = n.leg) IS NULL
        THEN 'I1: revision without its entry'
      WHEN n.text_seq = n.seq AND j.text_digest IS NULL
        THEN 'I1: revision names a text that is not there'
      WHEN n.text_seq <> n.seq AND (n.text_seq = (SELECT v.text_seq FROM creditledger.account_revision v
          WHERE v.ledger = n.ledger AND v.account = n.account AND v.revision = n.revision - 1)) IS NOT TRUE
        THEN 'I4: text_seq is neither this record nor what it was'
      END AS why FROM fresh n LEFT JOIN LATERAL (SELECT * FROM creditledger.journal j
        WHERE j.ledger = n.ledger AND j.seq = n.seq LIMIT 1) j ON true) f WHERE f.why IS NOT NULL LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse(r.why, r.ledger, r.seq);
  END IF;
  RETURN NULL;
END $$;

-- I5: a lot continues its last version or starts at its leg, and they are as many as the record says. Which lots a
-- record may have is examined with its entries.
CREATE FUNCTION creditledger.lot_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_memoize = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  r record;
BEGIN
  SELECT n.ledger, n.seq INTO r FROM (SELECT f.ledger, f.seq, count(*) AS n,
        min(f.place) = 0 AND max(f.place) = count(*) - 1 AS dense FROM fresh f GROUP BY f.ledger, f.seq) n
    WHERE NOT n.dense OR n.n IS DISTINCT FROM
      (SELECT j.lots FROM creditledger.journal j WHERE j.ledger = n.ledger AND j.seq = n.seq) LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse('I1: lots are not 0, 1, 2 ... and as many as their record says', r.ledger, r.seq);
  END IF;
  SELECT f.* INTO r FROM (SELECT n.ledger, n.seq, CASE
      WHEN n.version = 1 AND (n.account = e.account AND n.remaining_after = n.change
          AND n.change = CASE n.kind WHEN 1 THEN e.outgoing WHEN 2 THEN e.posted * e.side ELSE abs(e.posted) END
          AND (n.kind = 3 OR n.origin = n.seq)) IS NOT TRUE
        THEN 'I5: lot does not start at its leg'
      WHEN n.version > 1 AND (n.account = p.account AND n.remaining_after - p.remaining_after = n.change
          AND (p.seq < n.seq OR p.seq = n.seq AND p.place < n.place)) IS NOT TRUE
        THEN 'I5: lot does not continue'
      END AS why FROM fresh n
        LEFT JOIN LATERAL (SELECT * FROM creditledger.entry e
          WHERE e.ledger = n.ledger AND e.seq = n.origin AND e.leg = n.leg LIMIT 1) e ON true
        LEFT JOIN LATERAL (SELECT * FROM creditledger.lot l WHERE l.ledger = n.ledger AND l.origin = n.origin
          AND l.leg = n.leg AND l.kind = n.kind AND l.version = n.version - 1 LIMIT 1) p ON true) f
    WHERE f.why IS NOT NULL LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse(r.why, r.ledger, r.seq);
  END IF;
  RETURN NULL;
END $$;

-- I1: a text comes in the statement of its record, told by what PostgreSQL itself writes to both rows. Else an erased
-- text could come back, through a transaction so old that it does not see the erasure. (A text that the statement also
-- erased is not there any more. An old transaction sees two, the erased one and its own: each must pass.)
-- One row tells for all texts of the statement; one range of the records vouches for them. What that leaves in doubt
-- (texts in another order than their records too) is looked at one by one.
CREATE FUNCTION creditledger.record_text_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_memoize = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  r record;
BEGIN
  PERFORM FROM (SELECT f.ledger, min(f.seq) AS first, max(f.seq) AS last, array_agg(f.seq) AS seqs
        FROM fresh f GROUP BY f.ledger OFFSET 0) n
      LEFT JOIN LATERAL (SELECT x.xmin, x.cmin FROM creditledger.record_text x
        WHERE x.ledger = n.ledger AND x.seq = n.first OFFSET 0) t ON true
    WHERE n.seqs IS DISTINCT FROM (SELECT array_agg(j.seq) FROM (SELECT x.seq FROM creditledger.journal x
        WHERE x.ledger = n.ledger AND x.seq BETWEEN n.first AND n.last AND x.xmin = t.xmin AND x.cmin = t.cmin
          AND x.text_digest IS NOT NULL ORDER BY x.seq OFFSET 0) j) LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  SELECT n.ledger, n.seq INTO r FROM fresh n
      CROSS JOIN LATERAL (SELECT x.xmin, x.cmin FROM creditledger.record_text x
        WHERE x.ledger = n.ledger AND x.seq = n.seq OFFSET 0) t
      LEFT JOIN LATERAL (SELECT x.xmin, x.cmin, x.text_digest FROM creditledger.journal x
        WHERE x.ledger = n.ledger AND x.seq = n.seq LIMIT 1) j ON true
    WHERE (t.xmin = j.xmin AND t.cmin = j.cmin AND j.text_digest IS NOT NULL) IS NOT TRUE LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse('I1: text of a record that is not being inserted, or has no digest', r.ledger, r.seq);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION creditledger.record_text_erase() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
  r record;
BEGIN
  SELECT o.ledger, o.seq INTO r FROM gone o WHERE NOT EXISTS (SELECT FROM creditledger.journal j
    WHERE j.kind = 6 AND j.ledger = o.ledger AND j.related_seq = o.seq) LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse('I7: only an erasure deletes a text', r.ledger, r.seq);
  END IF;
  RETURN NULL;
END $$;

-- I2 to I5 of records that are more than plain transfers: openings, reversals, holds, several assets ... Of one ledger;
-- their entries are all there. First each entry by itself, then the record as a whole.
CREATE FUNCTION creditledger.record_check(of_ledger int, seqs bigint[]) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_memoize = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  r record;
BEGIN
  SELECT f.* INTO r FROM (SELECT n.seq, CASE
      WHEN (n.version = 1) <> (j.kind = 1)
        THEN 'I4: the first version of an account is its opening'
      WHEN n.version = 1 AND (n.revision = 1 AND n.posted_after = 0 AND n.incoming_after = 0 AND n.outgoing_after = 0
          AND a.asset = n.asset AND n.side = CASE WHEN a.type IN (1, 5) THEN -1 ELSE 1 END) IS NOT TRUE
        THEN 'I4: entry is not the opening of its account'
      WHEN n.version > 1 AND (n.posted_after - p.posted_after = n.posted
          AND n.incoming_after - p.incoming_after = n.incoming AND n.outgoing_after - p.outgoing_after = n.outgoing
          AND n.asset = p.asset AND n.side = p.side AND (p.seq < n.seq OR p.seq = n.seq AND p.leg < n.leg)
          AND CASE WHEN n.revision = p.revision THEN n.floor IS NOT DISTINCT FROM p.floor
            ELSE n.revision = p.revision + 1 AND v.seq IS NOT NULL END) IS NOT TRUE
        THEN 'I4: entry does not continue its account'
      WHEN j.kind IN (1, 2) AND (n.posted <> 0 OR n.incoming <> 0 OR n.outgoing <> 0)
        THEN 'I4: openings and revisions move nothing'
      WHEN (v.seq IS NOT NULL) <> (j.kind IN (1, 2))
        THEN 'I1: entries of openings and revisions have each their revision, and no others have'
      WHEN v.account <> n.account OR v.revision <> n.revision OR v.seq IS NOT NULL AND v.floor IS DISTINCT FROM n.floor
        THEN 'I4: revision is not that of its entry'
      WHEN n.effective_at IS DISTINCT FROM CASE WHEN j.effective_at < j.recorded_at THEN j.effective_at END
        THEN 'I1: effective_at of an entry is not its record''s'
      WHEN j.kind IN (5, 6) AND (n.posted <> 0 OR n.incoming <> 0 OR n.outgoing <> 0)
        THEN 'I2: declines and erasures move nothing'
      WHEN j.kind IN (3, 4) AND (n.posted = 0 OR n.incoming <> 0 OR n.outgoing <> 0)
        THEN 'I2: transfers and reversals move posted amounts only'
      END AS why FROM unnest(seqs) AS s(seq)
        CROSS JOIN LATERAL (SELECT * FROM creditledger.journal j
          WHERE j.ledger = of_ledger AND j.seq = s.seq LIMIT 1) j
        CROSS JOIN LATERAL (SELECT * FROM creditledger.entry e
          WHERE e.ledger = of_ledger AND e.seq = s.seq ORDER BY e.leg OFFSET 0) n
        LEFT JOIN LATERAL (SELECT * FROM creditledger.entry e WHERE e.ledger = of_ledger
          AND e.account = n.account AND e.version = n.version - 1 LIMIT 1) p ON true
        LEFT JOIN LATERAL (SELECT * FROM creditledger.account_revision x WHERE x.ledger = of_ledger
          AND x.seq = n.seq AND x.leg = n.leg LIMIT 1) v ON true
        LEFT JOIN LATERAL (SELECT * FROM creditledger.account x WHERE n.version = 1 AND x.ledger = of_ledger
          AND x.number = n.account LIMIT 1) a ON true) f
    WHERE f.why IS NOT NULL LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse(r.why, of_ledger, r.seq);
  END IF;

  SELECT f.* INTO r FROM (SELECT s.seq, CASE
      WHEN j.kind IN (1, 5) AND EXISTS (SELECT FROM creditledger.entry e
          WHERE e.ledger = of_ledger AND e.seq = s.seq AND e.leg = 1)
        THEN 'I1: an opening and a decline have one entry'
      WHEN EXISTS (SELECT FROM creditledger.entry e WHERE e.ledger = of_ledger AND e.seq = s.seq
          GROUP BY e.asset HAVING sum(e.posted) <> 0)
        THEN 'I2: record does not balance'
      WHEN EXISTS (SELECT FROM creditledger.entry e WHERE e.ledger = of_ledger AND e.seq = s.seq
          GROUP BY e.asset HAVING sum(e.incoming) <> sum(e.outgoing))
        THEN 'I3: pending does not balance'
      WHEN j.lots <> (SELECT count(*) FROM creditledger.lot l WHERE l.ledger = of_ledger AND l.seq = s.seq)
        THEN 'I1: lots are not as many as the record says'
      WHEN EXISTS (SELECT FROM creditledger.lot l WHERE l.ledger = of_ledger AND l.seq = s.seq
          AND CASE WHEN j.kind = 4 THEN l.kind <> 3 OR l.origin <> j.related_seq ELSE l.kind = 3 END)
        THEN 'I5: lot that this kind of record does not have'
      WHEN j.kind >= 7 AND EXISTS (SELECT FROM (
            SELECT e.account, e.outgoing AS amount FROM creditledger.entry e
              WHERE e.ledger = of_ledger AND e.seq = s.seq
            UNION ALL SELECT l.account, -l.change FROM creditledger.lot l
              WHERE l.ledger = of_ledger AND l.seq = s.seq AND l.kind = 1) x
          GROUP BY x.account HAVING sum(x.amount) <> 0)
        THEN 'I5: outgoing is not its holds'
      WHEN j.kind = 4 AND (SELECT o.kind FROM creditledger.journal o
          WHERE o.ledger = of_ledger AND o.seq = j.related_seq) IS DISTINCT FROM 3
        THEN 'I5: only a transfer can be reversed'
      -- Every entry of a reversal takes as much from what is left to refund of a leg with the other sign.
      WHEN j.kind = 4 AND EXISTS (SELECT FROM (
            SELECT e.account, e.posted, 1 AS n FROM creditledger.entry e
              WHERE e.ledger = of_ledger AND e.seq = s.seq
            UNION ALL SELECT l.account, CASE WHEN (SELECT e.posted FROM creditledger.entry e
                  WHERE e.ledger = of_ledger AND e.seq = l.origin AND e.leg = l.leg) > 0
                THEN l.change ELSE -l.change END, -1
              FROM creditledger.lot l WHERE l.ledger = of_ledger AND l.seq = s.seq AND l.change < 0) x
          GROUP BY x.account, x.posted HAVING sum(x.n) <> 0)
        THEN 'I5: reversal is not what it takes from its original'
      WHEN j.kind = 4 AND EXISTS (SELECT FROM creditledger.lot l WHERE l.ledger = of_ledger AND l.seq = s.seq
          GROUP BY l.leg HAVING count(*) FILTER (WHERE l.change < 0) <> 1
            OR count(*) FILTER (WHERE l.change > 0) <> count(*) FILTER (WHERE l.version = 1))
        THEN 'I5: a reversal takes from each leg once'
      END AS why FROM unnest(seqs) AS s(seq)
        CROSS JOIN LATERAL (SELECT * FROM creditledger.journal j
          WHERE j.ledger = of_ledger AND j.seq = s.seq LIMIT 1) j) f
    WHERE f.why IS NOT NULL LIMIT 1;
  IF FOUND THEN
    PERFORM creditledger.refuse(r.why, of_ledger, r.seq);
  END IF;
END $$;

-- I2, I3, I4 and the entries' half of I1. Two quick looks vouch for plain transfers: each entry is the next of its account
-- under the same revision, and those of a record are of one asset and add up to zero. Whatever they cannot vouch for, and
-- every record that is not of that kind, is looked at closely. (In two looks, because the second is over few columns; and
-- the entries are not sorted first: where a predecessor is in the index is where the entry has just been put.)
CREATE FUNCTION creditledger.entry_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_memoize = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  doubtful bigint[]; -- records, of any ledger
  g record;
  j record;
BEGIN
  SELECT array_agg(n.seq) INTO doubtful FROM fresh n
      LEFT JOIN LATERAL (SELECT * FROM creditledger.entry e
        WHERE e.ledger = n.ledger AND e.account = n.account AND e.version = n.version - 1 LIMIT 1) p ON true
    WHERE (n.posted <> 0 AND n.incoming = 0 AND n.outgoing = 0 AND n.effective_at IS NULL
      AND n.posted_after - p.posted_after = n.posted AND n.incoming_after = p.incoming_after
      AND n.outgoing_after = p.outgoing_after AND n.asset = p.asset AND n.side = p.side
      AND n.revision = p.revision AND n.floor IS NOT DISTINCT FROM p.floor
      AND (p.seq < n.seq OR p.seq = n.seq AND p.leg < n.leg)) IS NOT TRUE;
  FOR g IN SELECT r.ledger, min(r.seq) AS first, max(r.seq) AS last, count(*) AS n,
      min(r.seq) FILTER (WHERE NOT r.dense) AS torn, array_agg(r.seq) FILTER (WHERE NOT r.balanced) AS doubtful
    FROM (SELECT n.ledger, n.seq, min(n.leg) = 0 AND max(n.leg) = count(*) - 1 AS dense,
          sum(n.posted) = 0 AND min(n.asset) = max(n.asset) AS balanced
        FROM fresh n GROUP BY n.ledger, n.seq) r
    GROUP BY r.ledger
  LOOP
    IF g.torn IS NOT NULL THEN
      PERFORM creditledger.refuse('I1: legs are not 0, 1, 2 ...', g.ledger, g.torn);
    END IF;
    SELECT count(*) AS n, array_agg(x.seq) FILTER (WHERE x.kind <> 3 OR x.effective_at <> x.recorded_at) AS doubtful
      INTO j FROM creditledger.journal x
      WHERE x.ledger = g.ledger AND x.seq BETWEEN g.first AND least(g.last, g.first + g.n - 1);
    IF g.last - g.first >= g.n OR j.n <> g.n THEN
      PERFORM creditledger.refuse('I1: entries without their record, or not of records one after the other', g.ledger, g.last);
    END IF;
    IF doubtful IS NOT NULL OR g.doubtful IS NOT NULL OR j.doubtful IS NOT NULL THEN
      PERFORM creditledger.record_check(g.ledger, ARRAY(SELECT DISTINCT x.seq
        FROM unnest(doubtful || g.doubtful || j.doubtful) AS x(seq) WHERE x.seq BETWEEN g.first AND g.last));
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- The journal's half of I1. Legs being dense and unique, leg 0 stands for all the entries of a record. An erasure
-- erases: nobody can record one and forget the text, and who may not delete cannot record one.
CREATE FUNCTION creditledger.journal_check() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
  SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_memoize = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  g record;
  start bigint;
BEGIN
  FOR g IN SELECT n.ledger, min(n.seq) AS first, max(n.seq) AS last, count(*) AS n,
      min(n.recorded_at) AS earliest, max(n.recorded_at) AS latest, count(n.text_digest) AS texts,
      array_agg(n.related_seq) FILTER (WHERE n.kind = 6) AS erased
    FROM fresh n GROUP BY n.ledger
  LOOP
    IF g.last - g.first + 1 <> g.n THEN
      PERFORM creditledger.refuse('I1: gap in the records', g.ledger, g.last);
    END IF;
    IF g.first = 1 THEN
      SELECT l.created_at INTO start FROM creditledger.ledger l WHERE l.id = g.ledger;
    ELSE
      SELECT j.recorded_at INTO start FROM creditledger.journal j WHERE j.ledger = g.ledger AND j.seq = g.first - 1;
    END IF;
    IF NOT FOUND THEN
      PERFORM creditledger.refuse('I1: record without a predecessor, or of no ledger', g.ledger, g.first);
    END IF;
    IF g.earliest < start OR g.earliest <> g.latest AND EXISTS (SELECT FROM (
        SELECT n.recorded_at < lag(n.recorded_at) OVER (ORDER BY n.seq) AS back FROM fresh n WHERE n.ledger = g.ledger) x
        WHERE x.back) THEN
      PERFORM creditledger.refuse('I1: recorded_at runs backwards', g.ledger, g.first);
    END IF;
    IF g.n <> (SELECT count(*) FROM creditledger.entry e
        WHERE e.ledger = g.ledger AND e.seq BETWEEN g.first AND g.last AND e.leg = 0) THEN
      PERFORM creditledger.refuse('I1: record without entries', g.ledger, g.first);
    END IF;
    IF g.texts <> (SELECT count(*) FROM creditledger.record_text t
        WHERE t.ledger = g.ledger AND t.seq BETWEEN g.first AND g.last) THEN
      PERFORM creditledger.refuse('I1: a text and its digest go together', g.ledger, g.first);
    END IF;
    IF g.erased IS NOT NULL THEN
      PERFORM FROM unnest(g.erased) AS s(seq) WHERE (SELECT j.text_digest FROM creditledger.journal j
        WHERE j.ledger = g.ledger AND j.seq = s.seq) IS NULL;
      IF FOUND THEN
        PERFORM creditledger.refuse('I7: there is no text to erase', g.ledger, g.first);
      END IF;
      DELETE FROM creditledger.record_text t WHERE t.ledger = g.ledger AND t.seq = ANY (g.erased);
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

CREATE TRIGGER check_insert AFTER INSERT ON creditledger.ledger REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.ledger_check();
ALTER TABLE creditledger.ledger ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_insert AFTER INSERT ON creditledger.asset REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.asset_check();
ALTER TABLE creditledger.asset ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_insert AFTER INSERT ON creditledger.account REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.account_check();
ALTER TABLE creditledger.account ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_insert AFTER INSERT ON creditledger.account_revision REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.account_revision_check();
ALTER TABLE creditledger.account_revision ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_insert AFTER INSERT ON creditledger.lot REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.lot_check();
ALTER TABLE creditledger.lot ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_insert AFTER INSERT ON creditledger.record_text REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.record_text_check();
ALTER TABLE creditledger.record_text ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_insert AFTER INSERT ON creditledger.entry REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.entry_check();
ALTER TABLE creditledger.entry ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_insert AFTER INSERT ON creditledger.journal REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.journal_check();
ALTER TABLE creditledger.journal ENABLE ALWAYS TRIGGER check_insert;
CREATE TRIGGER check_delete AFTER DELETE ON creditledger.record_text REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.record_text_erase();
ALTER TABLE creditledger.record_text ENABLE ALWAYS TRIGGER check_delete;

-- I7
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON creditledger.ledger
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.ledger ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON creditledger.asset
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.asset ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON creditledger.account
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.account ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON creditledger.account_revision
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.account_revision ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON creditledger.journal
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.journal ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON creditledger.entry
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.entry ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON creditledger.lot
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.lot ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER refuse_change BEFORE UPDATE OR TRUNCATE ON creditledger.record_text
  FOR EACH STATEMENT EXECUTE FUNCTION creditledger.refuse_change();
ALTER TABLE creditledger.record_text ENABLE ALWAYS TRIGGER refuse_change;
