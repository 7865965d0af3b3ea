-- `transaction` with a posting for each side.
BEGIN;
SELECT id, balance, currency FROM account WHERE id IN (:from::bigint, :to::bigint) ORDER BY id FOR UPDATE;
UPDATE account SET balance = balance + CASE WHEN id = :from::bigint THEN -:amount::bigint ELSE :amount::bigint END, updated_at = now() WHERE id IN (:from::bigint, :to::bigint);
WITH t AS (INSERT INTO transfer(idempotency_key, from_account, to_account, amount, currency, reference, metadata) VALUES (gen_random_uuid(), :from::bigint, :to::bigint, :amount::bigint, 'USD', 'order-2718281828', '{"channel":"web","order":"2718281828"}') RETURNING id) INSERT INTO posting(transfer, account, amount, balance_after) SELECT t.id, a.id, CASE WHEN a.id = :from::bigint THEN -:amount::bigint ELSE :amount::bigint END, a.balance FROM t, account a WHERE a.id IN (:from::bigint, :to::bigint);
COMMIT;
