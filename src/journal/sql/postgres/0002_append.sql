-- Not in the plain profile:
-- The append path over PostgreSQL: one call of creditledger.append() is one batch, in one round trip, and needs no
-- session. What it inserts is checked by the triggers of 0001_journal.sql; nothing here is a check of I1 to I8, and
-- whoever inserts without these functions meets the same refusals. (The text that an erasure erases is deleted by the
-- check of its record.)
--
-- Columns come as binary arrays. An array that is null stands for a column in which every row has its usual value
-- (nothing pending, not backdated, no lots), so that what is rare costs nothing. Rows are taken from them by
-- subscript, which is cheap in plpgsql (it unpacks an array once) and much cheaper than unnest() of many arrays, which
-- keeps each of them in a tuple store of its own (docs/performance.md).

-- The row lock, for those who have no UPDATE on the table: it changes nothing.
CREATE FUNCTION creditledger.lock_row(ledger_id int) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM creditledger.ledger WHERE id = ledger_id FOR NO KEY UPDATE;
END $$;

-- Takes the locks of ledgers, which come in ascending order, until the transaction ends. kind: 0 none, 1 advisory (the
-- two-key form, 'CLLG' and the ledger, keeps clear of other programs' locks), 2 the ledger's row. A writer waits
-- for a lock for ten seconds at most: behind one that hangs all others would hang.
CREATE FUNCTION creditledger.lock_ledgers(kind int, ledgers int[]) RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
  l int;
BEGIN
  IF kind = 1 THEN
    FOREACH l IN ARRAY coalesce(ledgers, '{}') LOOP
      PERFORM pg_advisory_xact_lock(1129073735, l);
    END LOOP;
  ELSIF kind = 2 THEN
    FOREACH l IN ARRAY coalesce(ledgers, '{}') LOOP
      PERFORM creditledger.lock_row(l);
    END LOOP;
  END IF;
END $$;

-- The same, for who goes on to look and decide before it appends. If it hangs meanwhile, the server ends it.
CREATE FUNCTION creditledger.hold(kind int, ledgers int[]) RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM set_config('idle_in_transaction_session_timeout', '10s', true);
  PERFORM creditledger.lock_ledgers(kind, ledgers);
END $$;

-- Proves that this database takes durable writes, and leaves nothing. 32 kB that do not compress need new pages, so a
-- full disk shows; the checks refuse them, as they must. Then a record in the write-ahead log, flushed (and replicated) like any
-- commit; a standby refuses it.
CREATE FUNCTION creditledger.prove() RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  BEGIN
    INSERT INTO creditledger.record_text(ledger, seq, salt, body)
      SELECT 1, 9223372036854775807, decode(md5(''), 'hex'), string_agg(md5(i::text || clock_timestamp()), '')
        FROM generate_series(1, 1000) AS i;
    RAISE EXCEPTION USING ERRCODE = 'CL001';
  EXCEPTION WHEN SQLSTATE 'CL001' OR unique_violation THEN
    NULL;
  END;
  PERFORM pg_logical_emit_message(true, 'creditledger', 'proof');
END $$;

-- VOLATILE plpgsql, because each of its statements takes its own snapshot: it looks at the heads after it has the
-- locks, not before it waits for them. The plans are made once a session and do not depend on statistics.
CREATE FUNCTION creditledger.append(
  lock_kind int, notify boolean,
  known_ledger int[], known_seq bigint[], known_hash bytea[],
  asset_id int[], asset_scale smallint[], asset_code text[],
  ledger_id int[], ledger_name text[], ledger_default_floor bigint[], ledger_created_at bigint[],
  j_ledger int[], j_seq bigint[], j_kind smallint[], j_format smallint[], j_recorded_at bigint[],
  j_effective_at bigint[], j_id_high bigint[], j_id_low int[], j_hash bytea[], j_key text[], j_request_hash bytea[],
  j_reference text[], j_actor text[], j_trace_id bytea[], j_text_digest bytea[], j_related_seq bigint[],
  j_refusal int[], j_declined_amount bigint[], j_lots smallint[],
  e_ledger int[], e_seq bigint[], e_leg smallint[], e_account bigint[], e_version bigint[], e_asset int[],
  e_side smallint[], e_revision int[], e_floor bigint[], e_posted bigint[], e_posted_after bigint[],
  e_incoming bigint[], e_incoming_after bigint[], e_outgoing bigint[], e_outgoing_after bigint[],
  e_effective_at bigint[],
  t_ledger int[], t_seq bigint[], t_salt bytea[], t_body text[],
  a_ledger int[], a_number bigint[], a_asset int[], a_type smallint[], a_opened_seq bigint[], a_id_high bigint[],
  a_id_low int[], a_external_id text[],
  r_ledger int[], r_account bigint[], r_revision int[], r_seq bigint[], r_leg smallint[], r_status smallint[],
  r_floor bigint[], r_text_seq bigint[],
  l_ledger int[], l_origin bigint[], l_leg smallint[], l_kind smallint[], l_version int[], l_seq bigint[],
  l_place smallint[], l_account bigint[], l_change bigint[], l_remaining_after bigint[], l_due_at bigint[]
) RETURNS void LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
  head record;
BEGIN
  IF current_setting('synchronous_commit') = 'off' THEN
    RAISE EXCEPTION 'synchronous_commit is off: a commit would be answered before it is durable' USING ERRCODE = 'CL110';
  END IF;
  PERFORM creditledger.lock_ledgers(lock_kind, known_ledger);
  FOR i IN 1 .. coalesce(cardinality(known_ledger), 0) LOOP
    SELECT seq, hash INTO head FROM creditledger.journal WHERE ledger = known_ledger[i] ORDER BY seq DESC LIMIT 1;
    IF coalesce(head.seq, 0) <> known_seq[i] OR head.hash <> known_hash[i] THEN
      RAISE EXCEPTION 'head of ledger % is %, not % with the hash that was known', known_ledger[i],
        coalesce(head.seq, 0), known_seq[i] USING ERRCODE = 'CL100';
    END IF;
  END LOOP;

  IF asset_id IS NOT NULL THEN
    INSERT INTO creditledger.asset(id, scale, code)
      SELECT asset_id[i], asset_scale[i], asset_code[i] FROM generate_series(1, cardinality(asset_id)) AS i;
  END IF;
  IF ledger_id IS NOT NULL THEN
    INSERT INTO creditledger.ledger(id, name, default_floor, created_at)
      SELECT ledger_id[i], ledger_name[i], ledger_default_floor[i], ledger_created_at[i]
        FROM generate_series(1, cardinality(ledger_id)) AS i;
  END IF;

  -- A record and its rows in one statement: the checks see all of it or refuse it. Most batches have no accounts,
  -- revisions and lots; the second form spares them those tables.
  IF j_ledger IS NOT NULL AND (r_ledger IS NOT NULL OR a_ledger IS NOT NULL OR l_ledger IS NOT NULL) THEN
    WITH a AS (
      INSERT INTO creditledger.account(number, opened_seq, id_high, id_low, ledger, asset, type, external_id)
        SELECT a_number[i], a_opened_seq[i], a_id_high[i], a_id_low[i], a_ledger[i], a_asset[i], a_type[i],
            a_external_id[i]
          FROM generate_series(1, cardinality(a_ledger)) AS i
    ), r AS (
      INSERT INTO creditledger.account_revision(account, seq, floor, text_seq, ledger, revision, leg, status)
        SELECT r_account[i], r_seq[i], r_floor[i], r_text_seq[i], r_ledger[i], r_revision[i], r_leg[i], r_status[i]
          FROM generate_series(1, cardinality(r_ledger)) AS i
    ), l AS (
      INSERT INTO creditledger.lot(origin, seq, account, change, remaining_after, due_at, ledger, version, leg, kind,
          place)
        SELECT l_origin[i], l_seq[i], l_account[i], l_change[i], l_remaining_after[i], l_due_at[i], l_ledger[i],
            l_version[i], l_leg[i], l_kind[i], l_place[i]
          FROM generate_series(1, cardinality(l_ledger)) AS i
    ), t AS (
      INSERT INTO creditledger.record_text(seq, ledger, salt, body)
        SELECT t_seq[i], t_ledger[i], t_salt[i], t_body[i] FROM generate_series(1, cardinality(t_ledger)) AS i
    ), e AS (
      INSERT INTO creditledger.entry(seq, account, version, posted, incoming, outgoing, posted_after,
          incoming_after, outgoing_after, floor, effective_at, ledger, asset, revision, leg, side)
        SELECT e_seq[i], e_account[i], e_version[i], coalesce(e_posted[i], 0), coalesce(e_incoming[i], 0),
            coalesce(e_outgoing[i], 0), e_posted_after[i], coalesce(e_incoming_after[i], 0),
            coalesce(e_outgoing_after[i], 0), e_floor[i], e_effective_at[i], e_ledger[i], e_asset[i], e_revision[i],
            e_leg[i], e_side[i]
          FROM generate_series(1, cardinality(e_ledger)) AS i
    )
    INSERT INTO creditledger.journal(seq, effective_at, recorded_at, id_high, declined_amount, related_seq, ledger,
        id_low, refusal, kind, lots, format, hash, request_hash, idempotency_key, reference, actor, trace_id,
        text_digest)
      SELECT j_seq[i], coalesce(j_effective_at[i], j_recorded_at[i]), j_recorded_at[i], j_id_high[i],
          coalesce(j_declined_amount[i], 0), j_related_seq[i], j_ledger[i], j_id_low[i], j_refusal[i], j_kind[i],
          coalesce(j_lots[i], 0::smallint), j_format[i], j_hash[i], j_request_hash[i], j_key[i], j_reference[i],
          j_actor[i], j_trace_id[i], j_text_digest[i]
        FROM generate_series(1, cardinality(j_ledger)) AS i;
  ELSIF j_ledger IS NOT NULL THEN
    WITH t AS (
      INSERT INTO creditledger.record_text(seq, ledger, salt, body)
        SELECT t_seq[i], t_ledger[i], t_salt[i], t_body[i] FROM generate_series(1, cardinality(t_ledger)) AS i
    ), e AS (
      INSERT INTO creditledger.entry(seq, account, version, posted, incoming, outgoing, posted_after,
          incoming_after, outgoing_after, floor, effective_at, ledger, asset, revision, leg, side)
        SELECT e_seq[i], e_account[i], e_version[i], coalesce(e_posted[i], 0), coalesce(e_incoming[i], 0),
            coalesce(e_outgoing[i], 0), e_posted_after[i], coalesce(e_incoming_after[i], 0),
            coalesce(e_outgoing_after[i], 0), e_floor[i], e_effective_at[i], e_ledger[i], e_asset[i], e_revision[i],
            e_leg[i], e_side[i]
          FROM generate_series(1, cardinality(e_ledger)) AS i
    )
    INSERT INTO creditledger.journal(seq, effective_at, recorded_at, id_high, declined_amount, related_seq, ledger,
        id_low, refusal, kind, lots, format, hash, request_hash, idempotency_key, reference, actor, trace_id,
        text_digest)
      SELECT j_seq[i], coalesce(j_effective_at[i], j_recorded_at[i]), j_recorded_at[i], j_id_high[i],
          coalesce(j_declined_amount[i], 0), j_related_seq[i], j_ledger[i], j_id_low[i], j_refusal[i], j_kind[i],
          0::smallint, j_format[i], j_hash[i], j_request_hash[i], j_key[i], j_reference[i],
          j_actor[i], j_trace_id[i], j_text_digest[i]
        FROM generate_series(1, cardinality(j_ledger)) AS i;
  ELSIF asset_id IS NULL AND ledger_id IS NULL THEN
    PERFORM creditledger.prove();
  END IF;

  -- One for a batch, told when it commits.
  IF notify AND j_ledger IS NOT NULL THEN
    PERFORM pg_notify('creditledger_commit', j_ledger[cardinality(j_ledger)] || ':' || j_seq[cardinality(j_seq)]);
  END IF;
END $$;
