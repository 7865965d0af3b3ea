/*
 * Every limit that a client or an operator can run into, in one place. Over a limit is a refusal with the limit's
 * value in its message, never a truncation. The documentation's table of limits repeats these names.
 */
#ifndef CREDITLEDGER_BASE_LIMITS_H
#define CREDITLEDGER_BASE_LIMITS_H

/* A limit a line, as tests read them. */
/* clang-format off */

/* Money: room is left above so that a sum of two in-range numbers cannot overflow 64 bits. */
#define LIMIT_AMOUNT_MAX INT64_C(4000000000000000000)
#define LIMIT_ASSET_SCALE_MAX 18
#define LIMIT_ASSET_CODE_MAX 32 /* bytes: A-Z 0-9 . _ -, starting with a letter */

/* Text, in bytes of UTF-8. */
#define LIMIT_IDEMPOTENCY_KEY_MAX 255
#define LIMIT_EXTERNAL_ID_MAX 255
#define LIMIT_REFERENCE_MAX 255
#define LIMIT_LEDGER_NAME_MAX 64
#define LIMIT_ACTOR_MAX 64
#define LIMIT_NAME_MAX 255
#define LIMIT_METADATA_MAX 16384 /* serialised */
#define LIMIT_TEXT_BODY_MAX 32768

/* One transaction, one request, one batch. */
#define LIMIT_POSTINGS_MAX 500
#define LIMIT_EXPECTS_MAX 100
#define LIMIT_BATCH_ELEMENTS_MAX 10000 /* elements of one bulk request */
#define LIMIT_JSON_DEPTH_MAX 32
#define LIMIT_BODY_MAX 1048576        /* bytes of a request body */
#define LIMIT_BATCH_BODY_MAX 16777216 /* bytes of a bulk request's body */
#define LIMIT_HEADERS_MAX 16384       /* bytes of a request's head */
#define LIMIT_URL_MAX 4096
#define LIMIT_PAGE_DEFAULT 100
#define LIMIT_PAGE_MAX 1000
#define LIMIT_PAGE_BYTES 4194304  /* a page of records ends behind the record that reaches it */
#define LIMIT_LIST_SCAN_MAX 10000 /* records one page of a filtered list looks at before it hands out a cursor */
#define LIMIT_METADATA_FILTERS_MAX 8 /* metadata.KEY=VALUE of one list */
#define LIMIT_WAIT_SECONDS_MAX 30 /* long poll and Ledger-Min-Seq */

/* The process. */
#define LIMIT_QUEUE_COMMANDS_DEFAULT 65536    /* commands waiting for the engine; over it: 503 with Retry-After */
#define LIMIT_QUEUE_BYTES_DEFAULT 268435456   /* their memory */
#define LIMIT_COMMIT_COMMANDS_DEFAULT 4096    /* commands of one database transaction */
#define LIMIT_CACHE_ACCOUNTS_DEFAULT 262144   /* account heads kept in memory */
#define LIMIT_CONNECTIONS_DEFAULT 4096
#define LIMIT_BODIES_DEFAULT 536870912         /* bytes of all request bodies in memory; over it: 503 with Retry-After */
#define LIMIT_READERS_DEFAULT 2
#define LIMIT_READ_QUEUE 4096
#define LIMIT_WAITERS_MAX 4096
#define LIMIT_LEDGERS_MAX 65535
#define LIMIT_ASSETS_MAX 65535
#define LIMIT_TOKENS_MAX 10000

/* clang-format on */

#endif
