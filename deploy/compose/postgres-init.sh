#!/bin/sh
# Run once by the image of PostgreSQL, when the database is made: the role that servers connect as. What it may do,
# `creditledger migrate --runtime-role` grants. A test runs it against PostgreSQL; *untested* in the container.
set -e
psql -v ON_ERROR_STOP=1 -v password="$LEDGER_SERVER_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'END'
CREATE ROLE ledger_server LOGIN PASSWORD :'password';
END
