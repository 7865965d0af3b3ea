-- Two different accounts, uniform, or account 1 and another, in and out by turns. Read before each variant.
\set one random(1, :accounts)
\if :hot
\set one 1
\endif
\set other random(1, :accounts - 1)
\set other (:one + :other - 1) % :accounts + 1
\set turn random(0, 1)
\set from case when :turn = 0 then :one else :other end
\set to case when :turn = 0 then :other else :one end
\set amount random(1, 100)
