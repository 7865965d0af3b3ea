#include "journal/digest.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "journal/canonical.h"

/* Part of every genesis hash: another product's chain, or another version's, never starts where ours does. */
static const char genesis_tag[] = "creditledger genesis 1";

struct digest {
    EVP_MD *sha256; /* fetched once: the one-shot calls look the algorithm up each time, which costs more than
                       hashing */
    EVP_MD_CTX *context;
    struct strbuf scratch;
};

struct digest *digest_new(void)
{
    struct digest *d = malloc(sizeof *d);
    INVARIANT(d != NULL);
    d->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    d->context = EVP_MD_CTX_new();
    INVARIANT(d->sha256 != NULL && d->context != NULL);
    strbuf_init(&d->scratch);
    return d;
}

void digest_free(struct digest *d)
{
    if (d == NULL)
        return;
    EVP_MD_CTX_free(d->context);
    EVP_MD_free(d->sha256);
    strbuf_fini(&d->scratch);
    free(d);
}

/* SHA-256 over one or two pieces. */
static void hash_pieces(struct digest *d, struct str first, struct str second, uint8_t ret_hash[HASH_LEN])
{
    unsigned len = 0;
    bool done = EVP_DigestInit_ex2(d->context, d->sha256, NULL) == 1 &&
                EVP_DigestUpdate(d->context, first.data, first.len) == 1 &&
                EVP_DigestUpdate(d->context, second.data, second.len) == 1 &&
                EVP_DigestFinal_ex(d->context, ret_hash, &len) == 1;
    INVARIANT(done && len == HASH_LEN);
}

void digest_bytes(struct digest *d, struct str bytes, uint8_t ret_hash[HASH_LEN])
{
    hash_pieces(d, bytes, STR(""), ret_hash);
}

void digest_text(struct digest *d, struct record_text *text)
{
    INVARIANT(text->present && text->readable);
    hash_pieces(d, (struct str){(const char *)text->salt, SALT_LEN}, text->body, text->digest);
}

void digest_command(struct digest *d, struct command *command)
{
    strbuf_clear(&d->scratch);
    command_canonical(command, &d->scratch);
    digest_bytes(d, strbuf_view(&d->scratch), command->request_hash);
}

void digest_genesis(struct digest *d, const struct ledger_row *ledger, uint8_t ret_hash[HASH_LEN])
{
    struct strbuf *b = &d->scratch;
    strbuf_clear(b);
    strbuf_add(b, genesis_tag, sizeof genesis_tag - 1);
    canonical_ledger(ledger->id, str_of(ledger->name), ledger->default_floor, ledger->created_at, b);
    digest_bytes(d, strbuf_view(b), ret_hash);
}

void digest_record(struct digest *d, const uint8_t previous[HASH_LEN], const struct record *record,
    const struct asset *asset, uint8_t ret_hash[HASH_LEN])
{
    strbuf_clear(&d->scratch);
    canonical_encode(record, asset, &d->scratch);
    hash_pieces(d, (struct str){(const char *)previous, HASH_LEN}, strbuf_view(&d->scratch), ret_hash);
}
