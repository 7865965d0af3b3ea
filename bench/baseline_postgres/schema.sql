-- The plainest ledger a team would write itself: a balance column, a row a transfer, a unique key against doubles. What
-- keeps money right is the lock on both accounts, the CHECK and the unique key; what was, is not kept: no history of
-- balances, nothing against an UPDATE by hand. It is lean on purpose (no foreign keys, no index for an account's
-- transfers): each of those would make it slower.
CREATE TABLE account(
  id bigint PRIMARY KEY,
  balance bigint NOT NULL CHECK (balance >= 0),
  currency text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);  -- room for updates within the page, which then touch no index

CREATE TABLE transfer(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  idempotency_key uuid NOT NULL UNIQUE,
  from_account bigint NOT NULL,
  to_account bigint NOT NULL CHECK (to_account <> from_account),
  amount bigint NOT NULL CHECK (amount > 0),
  currency text NOT NULL,
  reference text,
  metadata jsonb,
  created_at timestamptz NOT NULL DEFAULT now());

-- Variant `postings` only: what a team adds when somebody asks why a balance is what it is.
CREATE TABLE posting(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transfer bigint NOT NULL REFERENCES transfer(id),
  account bigint NOT NULL REFERENCES account(id),
  amount bigint NOT NULL,
  balance_after bigint NOT NULL);
CREATE INDEX posting_account ON posting(account, id);
