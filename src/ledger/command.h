/*
 * A command: what a client asks, decoded and validated as far as that goes without state. Time, randomness and the
 * actor are in it, so that deciding is a function of its inputs. Pointers borrow from the arena of the request.
 * Accounts are named, not resolved: the engine fetches them and hands decide.h the heads. Pure.
 */
#ifndef CREDITLEDGER_LEDGER_COMMAND_H
#define CREDITLEDGER_LEDGER_COMMAND_H

#include "base/limits.h"
#include "ledger/account.h"

/* X(NAME, name, number). The number enters the request hash. */
#define COMMAND_TABLE(X) \
    X(CREATE_LEDGER, create_ledger, 1) \
    X(DECLARE_ASSET, declare_asset, 2) \
    X(OPEN_ACCOUNT, open_account, 3) \
    X(REVISE_ACCOUNT, revise_account, 4) \
    X(POST, post, 5) \
    X(REVERSE, reverse, 6) \
    X(ERASE, erase, 7)

enum command_op {
#define X(NAME, name, number) COMMAND_##NAME = number,
    COMMAND_TABLE(X)
#undef X
};

enum account_ref_by { REF_BY_ID, REF_BY_EXTERNAL_ID, REF_BY_WORLD };

/* How a request names an account: its id, `ext:{externalId}`, or `@world` (of the posting's currency). */
struct account_ref {
    enum account_ref_by by;
    struct uuid id;
    struct str external_id;
    struct str currency; /* REF_BY_WORLD: which one */
};

struct posting {
    struct account_ref debit, credit;
    int64_t amount_minor; /* 1 to LIMIT_AMOUNT_MAX */
    struct str currency;
    bool wallet; /* spelled from/to: refused between two debit-normal accounts */
};

/* The client's optimistic lock: refused unless it holds before the transaction. */
struct expectation {
    struct account_ref account;
    bool has_version, has_min_available;
    uint64_t version;
    int64_t min_available_minor;
};

struct command_ledger {
    struct str name;
    struct floor default_floor;
};

struct command_asset {
    struct str code;
    int scale;
};

struct command_open {
    struct str currency;
    enum account_type type;
    struct str external_id; /* STR_NONE if none */
    bool has_floor;         /* minBalance was named, null included */
    struct floor floor;
};

/* Only what is named changes. */
struct command_revise {
    struct account_ref account;
    bool has_status, has_floor, has_text, has_if_revision;
    enum account_status status;
    struct floor floor;
    uint32_t if_revision; /* If-Match */
    /* The new text was merged with that of record `base_text_seq` (0: with none). If the account's text is another by
     * now, the revision is refused (REVISION_CONTENDED) and nothing recorded: whoever merged is to merge again. Not
     * part of the request: not in its hash. */
    bool has_base_text;
    uint64_t base_text_seq;
};

struct command_post {
    const struct posting *postings;
    size_t n_postings;
    const struct expectation *expects;
    size_t n_expects;
    /* For imports: after the command, this account's posted balance in its normal sign must be exactly that. */
    bool has_balance_after;
    struct account_ref balance_account;
    int64_t balance_after_minor;
};

struct command_reverse {
    struct uuid transfer;
    bool has_amount;
    int64_t amount_minor;
};

struct command_erase {
    uint64_t seq; /* the record whose text goes */
};

struct command {
    enum command_op op;
    struct str ledger; /* its name */
    bool dry_run;
    struct str idempotency_key;     /* STR_NONE if none */
    uint8_t request_hash[HASH_LEN]; /* journal/digest.h fills it from command_canonical() */
    bool has_effective_at;
    int64_t effective_at;
    struct str reference;          /* STR_NONE if none */
    struct str actor;              /* STR_NONE if none */
    bool has_trace, trace_sampled; /* sampled: somebody follows the trace */
    uint8_t trace_id[TRACE_ID_LEN];
    uint8_t trace_parent[SPAN_ID_LEN]; /* sampled: the span of the request */
    struct str text;                   /* canonical JSON of name and metadata; STR_NONE if none */
    /* From the environment, filled when the engine takes the command up. */
    uint8_t salt[SALT_LEN];
    uint32_t random;
    union {
        struct command_ledger create_ledger;
        struct command_asset declare_asset;
        struct command_open open;
        struct command_revise revise;
        struct command_post post;
        struct command_reverse reverse;
        struct command_erase erase;
    } as;
};

/* Client-chosen names: 1 to LIMIT_EXTERNAL_ID_MAX bytes of UTF-8, no control characters, not starting with '@'. */
bool external_id_valid(struct str external_id);
/* a-z 0-9 '-' '_', starting with a letter or digit, 1 to LIMIT_LEDGER_NAME_MAX bytes. */
bool ledger_name_valid(struct str name);
/* 1 to LIMIT_IDEMPOTENCY_KEY_MAX bytes of UTF-8, no control characters. */
bool idempotency_key_valid(struct str key);

/*
 * Appends the bytes that identify the request: the operation and all that the client chose, in a fixed order; not
 * the key, the actor, the trace, time or randomness, and not dry_run. Equal requests give equal bytes however their
 * JSON was laid out.
 */
void command_canonical(const struct command *command, struct strbuf *b);

#endif
