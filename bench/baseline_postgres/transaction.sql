-- One SQL transaction a transfer. Both accounts are locked in the order of their ids, so that opposite transfers do not
-- deadlock; one UPDATE for both saves a round trip.
BEGIN;
SELECT id, balance, currency FROM account WHERE id IN (:from::bigint, :to::bigint) ORDER BY id FOR UPDATE;
UPDATE account SET balance = balance + CASE WHEN id = :from::bigint THEN -:amount::bigint ELSE :amount::bigint END, updated_at = now() WHERE id IN (:from::bigint, :to::bigint);
INSERT INTO transfer(idempotency_key, from_account, to_account, amount, currency, reference, metadata) VALUES (gen_random_uuid(), :from::bigint, :to::bigint, :amount::bigint, 'USD', 'order-2718281828', '{"channel":"web","order":"2718281828"}');
COMMIT;
