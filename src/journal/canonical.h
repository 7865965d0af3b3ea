/*
 * The canonical bytes of a record: what the hash chain covers, documented byte by byte in
 * docs/record-format.md so that an auditor can verify a journal with other tools. Format 1: big-endian
 * fixed-width integers, strings with a 16-bit length (0xffff stands for "none"), rows with a count before
 * them. Encoding is total; decoding takes outside bytes, checks everything and is fuzzed. Encode and decode
 * are each other's inverse. Pure.
 *
 * An opening's bytes name the asset by code and scale, not by number, so that the chain covers them.
 */
#ifndef CREDITLEDGER_JOURNAL_CANONICAL_H
#define CREDITLEDGER_JOURNAL_CANONICAL_H

#include "base/arena.h"
#include "ledger/record.h"
#include "money/asset.h"

/* `asset` is the opened account's for an opening, else NULL. Appends to b. */
void canonical_encode(const struct record *record, const struct asset *asset, struct strbuf *b);

/*
 * The inverse. False, with a message that names the offset, for anything that canonical_encode cannot have
 * made. For an opening *ret_asset gets code and scale (id is what the account row says), else its code is
 * empty.
 */
MUST_CHECK bool canonical_decode(struct str bytes, struct arena *arena, struct record *ret_record,
    struct asset *ret_asset, struct err *err);

/* The bytes of a ledger's own row, which its genesis hash covers; appends to b. */
void canonical_ledger(
    uint32_t id, struct str name, struct floor default_floor, int64_t created_at, struct strbuf *b);

#endif
