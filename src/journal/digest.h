/*
 * The journal's hashes, all SHA-256 (FIPS 180-4, by OpenSSL): the chain over canonical bytes, the salted
 * digest of texts, the hash of requests, the genesis hash that a ledger's chain starts from. A `struct
 * digest` holds the library's context and a scratch buffer; one a thread.
 */
#ifndef CREDITLEDGER_JOURNAL_DIGEST_H
#define CREDITLEDGER_JOURNAL_DIGEST_H

#include "journal/journal.h"
#include "ledger/command.h"

struct digest;

struct digest *digest_new(void); /* never NULL: a process without SHA-256 cannot go on */
void digest_free(struct digest *d);

void digest_bytes(struct digest *d, struct str bytes, uint8_t ret_hash[HASH_LEN]);
/* SHA-256(salt || body) into text->digest. */
void digest_text(struct digest *d, struct record_text *text);
/* SHA-256 over command_canonical() into command->request_hash. */
void digest_command(struct digest *d, struct command *command);
/* Where a ledger's chain starts: SHA-256 over the tag, id, name, default floor and creation time of the
 * ledger. */
void digest_genesis(struct digest *d, const struct ledger_row *ledger, uint8_t ret_hash[HASH_LEN]);
/* SHA-256(previous hash || canonical bytes). `asset` as in canonical_encode(). */
void digest_record(struct digest *d, const uint8_t previous[HASH_LEN], const struct record *record,
    const struct asset *asset, uint8_t ret_hash[HASH_LEN]);

#endif
