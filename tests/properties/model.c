#include "model.h"

#include <stdio.h>
#include <string.h>

__extension__ typedef __int128 wide;

/* One command being played. */
struct play {
    struct model *m;
    const struct model_mark *committed;
    const struct command *command;
    const char *said;
    int64_t now;
    struct model_ledger *l;
    struct model_answer *answer;
};

void model_init(struct model *m, int64_t now)
{
    memset(m, 0, sizeof *m);
    m->n_ledgers = 1;
    snprintf(m->ledgers[0].name, sizeof m->ledgers[0].name, "main");
    m->ledgers[0].created = now;
}

struct model_mark model_mark(const struct model *m)
{
    struct model_mark mark = {.ledgers = m->n_ledgers, .assets = m->n_assets};
    for (size_t i = 0; i < m->n_ledgers; i++) {
        mark.accounts[i] = m->ledgers[i].n_accounts;
        mark.records[i] = m->ledgers[i].n_records;
    }
    return mark;
}

void model_undo(struct model *m, const struct model_mark *mark)
{
    m->n_ledgers = mark->ledgers;
    m->n_assets = mark->assets;
    for (size_t i = 0; i < m->n_ledgers; i++) {
        m->ledgers[i].n_accounts = mark->accounts[i];
        m->ledgers[i].n_records = mark->records[i];
    }
}

bool model_has_room(const struct model *m)
{
    for (size_t i = 0; i < m->n_ledgers; i++)
        if (m->ledgers[i].n_records > MODEL_RECORDS - 200)
            return false;
    return true;
}

/* --- what is known
 * ------------------------------------------------------------------------------------------- */

const struct model_leg *model_head(const struct model_ledger *l, uint64_t number, size_t n_records)
{
    for (size_t r = n_records; r > 0; r--)
        for (size_t i = l->records[r - 1].n_legs; i > 0; i--)
            if (l->records[r - 1].legs[i - 1].account == number)
                return &l->records[r - 1].legs[i - 1];
    return NULL;
}

int64_t model_left(const struct model_ledger *l, uint64_t seq, size_t posting, size_t n_records)
{
    const struct model_record *original = &l->records[seq - 1];
    int64_t left = original->legs[2 * posting + 1].change;
    for (size_t r = seq; r < n_records; r++)
        if (l->records[r].kind == RECORD_REVERSAL && l->records[r].related == seq)
            left -= l->records[r].legs[original->n_legs - 1 - 2 * posting].change;
    return left;
}

bool model_erased(const struct model_ledger *l, uint64_t seq)
{
    for (size_t r = 0; r < l->n_records; r++)
        if (l->records[r].kind == RECORD_ERASURE && l->records[r].related == seq)
            return true;
    return false;
}

int64_t model_balance(const struct model_ledger *l, uint64_t number, int64_t at, int64_t known)
{
    int64_t sum = 0;
    for (size_t r = 0; r < l->n_records; r++)
        for (size_t i = 0; i < l->records[r].n_legs; i++)
            if (l->records[r].legs[i].account == number && l->records[r].effective <= at &&
                l->records[r].recorded <= known)
                sum += l->records[r].legs[i].change;
    return sum;
}

static bool is(struct str s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static uint64_t find_external(const struct model_ledger *l, const char *name)
{
    for (size_t i = 0; i < l->n_accounts; i++)
        if (strcmp(l->accounts[i].external, name) == 0)
            return i + 1;
    return 0;
}

/* The asset's place + 1; 0: unknown. An ISO 4217 currency exists once it is used. */
static size_t find_asset(const struct model *m, struct str code)
{
    for (size_t i = 0; i < m->n_assets; i++)
        if (is(code, m->assets[i].code))
            return i + 1;
    return 0;
}

static bool is_iso(struct str code)
{
    return is(code, "USD") || is(code, "EUR") || is(code, "JPY");
}

static size_t add_asset(struct model *m, struct str code, int scale)
{
    snprintf(m->assets[m->n_assets].code, sizeof m->assets[0].code, "%.*s", (int)code.len, code.data);
    m->assets[m->n_assets].scale = scale;
    return ++m->n_assets;
}

static struct model_leg head_of(const struct play *p, uint64_t number)
{
    return *model_head(p->l, number, p->l->n_records);
}

static int side_of(const struct play *p, uint64_t number)
{
    return p->l->accounts[number - 1].side;
}

/* --- records
 * ------------------------------------------------------------------------------------------------- */

static struct model_record *new_record(const struct play *p, enum record_kind kind)
{
    struct model_record *r = &p->l->records[p->l->n_records];
    *r = (struct model_record){.kind = kind, .effective = p->now, .recorded = p->now, .said = p->said};
    if (p->command->idempotency_key.data != NULL)
        r->key = p->command->idempotency_key.data;
    r->text = p->command->text.data != NULL;
    return r;
}

static void keep(const struct play *p)
{
    p->answer->seq = ++p->l->n_records;
}

static void still_leg(struct model_record *r, struct model_leg head)
{
    head.version++;
    head.change = 0;
    r->legs[r->n_legs++] = head;
}

static void refuse(const struct play *p, enum refusal refusal)
{
    p->answer->refusal = refusal;
}

/* Depends on the state: a record of one still leg binds the key. */
static void decline(
    const struct play *p, enum refusal refusal, uint64_t account, int64_t amount, uint64_t related)
{
    refuse(p, refusal);
    struct model_record *r = new_record(p, RECORD_DECLINED);
    r->refusal = refusal;
    r->declined = amount;
    r->related = related;
    still_leg(r, head_of(p, account));
    keep(p);
}

static void open_account(
    const struct play *p, struct model_record *r, const struct model_account *account, struct floor floor)
{
    p->l->accounts[p->l->n_accounts++] = *account;
    r->legs[r->n_legs++] = (struct model_leg){
        .account = p->l->n_accounts, .version = 1, .revision = 1, .floor = floor, .status = ACCOUNT_OPEN};
}

static uint64_t resolve(const struct play *p, const struct account_ref *ref, bool open_world)
{
    char name[48];
    if (ref->by == REF_BY_ID) {
        uint64_t number = uuid_counter(ref->id);
        bool known = number >= 1 && number <= p->l->n_accounts && !uuid_is_zero(ref->id) &&
                     uuid_eq(p->l->accounts[number - 1].id, ref->id);
        return known ? number : 0;
    }
    if (ref->by == REF_BY_EXTERNAL_ID) {
        snprintf(name, sizeof name, "%.*s", (int)ref->external_id.len, ref->external_id.data);
        return find_external(p->l, name);
    }
    size_t asset = find_asset(p->m, ref->currency);
    snprintf(name, sizeof name, "@world:%.*s", (int)ref->currency.len, ref->currency.data);
    uint64_t found = find_external(p->l, name);
    if (found != 0 || asset == 0 || !open_world)
        return found;
    struct model_account world = {.asset = asset, .side = 1, .world = true};
    memcpy(world.external, name, sizeof name);
    struct model_record *r = &p->l->records[p->l->n_records];
    *r = (struct model_record){.kind = RECORD_OPENING, .effective = p->now, .recorded = p->now};
    open_account(p, r, &world, (struct floor){0});
    p->l->n_records++;
    return p->l->n_accounts;
}

/* --- commands
 * ------------------------------------------------------------------------------------------------ */

static void play_ledger(const struct play *p)
{
    const struct command_ledger *wish = &p->command->as.create_ledger;
    struct model *m = p->m;
    for (size_t i = 0; i < m->n_ledgers; i++) {
        struct floor floor = m->ledgers[i].default_floor;
        if (!is(wish->name, m->ledgers[i].name))
            continue;
        if (floor.present != wish->default_floor.present ||
            (floor.present && floor.minor != wish->default_floor.minor))
            refuse(p, REFUSAL_LEDGER_EXISTS);
        return;
    }
    struct model_ledger *l = &m->ledgers[m->n_ledgers++];
    l->n_accounts = l->n_records = 0;
    snprintf(l->name, sizeof l->name, "%.*s", (int)wish->name.len, wish->name.data);
    l->default_floor = wish->default_floor;
    l->created = p->now;
    p->answer->created = true;
}

static void play_asset(const struct play *p)
{
    const struct command_asset *wish = &p->command->as.declare_asset;
    size_t asset = find_asset(p->m, wish->code);
    int scale = asset != 0 ? p->m->assets[asset - 1].scale : is(wish->code, "JPY") ? 0 : 2;
    if ((asset != 0 || is_iso(wish->code)) && scale != wish->scale) {
        refuse(p, REFUSAL_ASSET_EXISTS);
    } else if (asset == 0) {
        add_asset(p->m, wish->code, wish->scale);
        p->answer->created = true;
    }
}

static void play_open(const struct play *p)
{
    const struct command_open *open = &p->command->as.open;
    size_t asset = find_asset(p->m, open->currency);
    if (asset == 0 && is_iso(open->currency))
        asset = add_asset(p->m, open->currency, is(open->currency, "JPY") ? 0 : 2);
    if (asset == 0) {
        refuse(p, REFUSAL_ASSET_NOT_FOUND);
        return;
    }
    bool debit_normal = open->type == ACCOUNT_ASSET || open->type == ACCOUNT_EXPENSE;
    struct model_account account = {.asset = asset, .side = debit_normal ? -1 : 1};
    if (open->external_id.data != NULL) {
        snprintf(account.external, sizeof account.external, "%.*s", (int)open->external_id.len,
            open->external_id.data);
        uint64_t holder = find_external(p->l, account.external);
        if (holder != 0) {
            decline(p, REFUSAL_EXTERNAL_ID_TAKEN, holder, 0, 0);
            return;
        }
    }
    open_account(
        p, new_record(p, RECORD_OPENING), &account, open->has_floor ? open->floor : p->l->default_floor);
    keep(p);
}

static void play_revise(const struct play *p)
{
    const struct command_revise *wish = &p->command->as.revise;
    uint64_t number = resolve(p, &wish->account, false);
    if (number == 0) {
        refuse(p, REFUSAL_ACCOUNT_NOT_FOUND);
        return;
    }
    if (p->l->accounts[number - 1].world) {
        refuse(p, REFUSAL_WORLD_IMMUTABLE);
        return;
    }
    struct model_leg head = head_of(p, number);
    if (wish->has_if_revision && wish->if_revision != head.revision) {
        decline(p, REFUSAL_PRECONDITION_FAILED, number, 0, 0);
        return;
    }
    if (wish->has_status && wish->status == ACCOUNT_CLOSED && head.after != 0) {
        decline(p, REFUSAL_ACCOUNT_NOT_EMPTY, number, 0, 0);
        return;
    }
    head.revision++;
    if (wish->has_status)
        head.status = wish->status;
    if (wish->has_floor)
        head.floor = wish->floor;
    still_leg(new_record(p, RECORD_REVISION), head);
    keep(p);
}

struct step {
    uint64_t debit, credit;
    int64_t amount;
};

static bool pays(const struct play *p, uint64_t number, int sign)
{
    return side_of(p, number) * sign < 0;
}

/* Accounts that may not take part, posting by posting, debit before credit, closed before frozen. */
static bool steps_allowed(const struct play *p, const struct step *steps, size_t n, uint64_t related)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t sides[2] = {steps[i].debit, steps[i].credit};
        for (int closed = 1; closed >= 0; closed--)
            for (int k = 0; k < 2; k++) {
                enum account_status status = head_of(p, sides[k]).status;
                bool stops = closed ? status == ACCOUNT_CLOSED
                                    : status == ACCOUNT_FROZEN && pays(p, sides[k], k == 0 ? -1 : 1);
                if (!stops)
                    continue;
                decline(p, closed ? REFUSAL_ACCOUNT_CLOSED : REFUSAL_ACCOUNT_FROZEN, sides[k],
                    steps[i].amount, related);
                return false;
            }
    }
    return true;
}

/* What stops one side of a step: too little to give, or a balance that leaves the range. */
static enum refusal side_stops(const struct play *p, struct model_leg head, int sign, int64_t amount)
{
    wide after = (wide)head.after + sign * (wide)amount;
    int side = side_of(p, head.account);
    if (pays(p, head.account, sign) && head.floor.present && after * side < head.floor.minor)
        return REFUSAL_INSUFFICIENT_FUNDS;
    wide limit = LIMIT_AMOUNT_MAX;
    return after > limit || after < -limit ? REFUSAL_BALANCE_LIMIT : REFUSAL_NONE;
}

/* The head of an account within an unfinished record. */
static struct model_leg moving_head(const struct play *p, const struct model_record *r, uint64_t number)
{
    for (size_t i = r->n_legs; i > 0; i--)
        if (r->legs[i - 1].account == number)
            return r->legs[i - 1];
    return head_of(p, number);
}

static bool move(const struct play *p, struct model_record *r, const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct model_leg debit = moving_head(p, r, steps[i].debit);
        struct model_leg credit = moving_head(p, r, steps[i].credit);
        enum refusal of_debit = side_stops(p, debit, -1, steps[i].amount);
        enum refusal of_credit = side_stops(p, credit, 1, steps[i].amount);
        if (of_debit != REFUSAL_NONE || of_credit != REFUSAL_NONE) {
            bool first = of_debit == REFUSAL_INSUFFICIENT_FUNDS ||
                         (of_debit != REFUSAL_NONE && of_credit != REFUSAL_INSUFFICIENT_FUNDS);
            uint64_t related = r->related;
            decline(p, first ? of_debit : of_credit, first ? steps[i].debit : steps[i].credit,
                steps[i].amount, related);
            return false;
        }
        debit.version++;
        debit.change = -steps[i].amount;
        debit.after -= steps[i].amount;
        credit.version++;
        credit.change = steps[i].amount;
        credit.after += steps[i].amount;
        r->legs[r->n_legs++] = debit;
        r->legs[r->n_legs++] = credit;
    }
    return true;
}

static bool in_future(const struct play *p)
{
    return p->command->has_effective_at && p->command->effective_at > p->now;
}

static bool postings_make_sense(const struct play *p, struct step *steps)
{
    const struct command_post *post = &p->command->as.post;
    for (size_t i = 0; i < post->n_postings; i++) { /* @world is opened on the way */
        steps[i].debit = resolve(p, &post->postings[i].debit, true);
        steps[i].credit = resolve(p, &post->postings[i].credit, true);
        steps[i].amount = post->postings[i].amount_minor;
    }
    for (size_t i = 0; i < post->n_postings; i++) {
        size_t asset = find_asset(p->m, post->postings[i].currency);
        const struct step *s = &steps[i];
        enum refusal refusal = REFUSAL_NONE;
        if (asset == 0 && !is_iso(post->postings[i].currency))
            refusal = REFUSAL_ASSET_NOT_FOUND;
        else if (asset == 0 && (s->debit != 0 || s->credit != 0)) /* nobody has that currency */
            refusal = REFUSAL_CURRENCY_MISMATCH;
        else if (s->debit == 0 || s->credit == 0)
            refusal = REFUSAL_ACCOUNT_NOT_FOUND;
        else if (s->debit == s->credit)
            refusal = REFUSAL_SAME_ACCOUNT;
        else if (p->l->accounts[s->debit - 1].asset != asset || p->l->accounts[s->credit - 1].asset != asset)
            refusal = REFUSAL_CURRENCY_MISMATCH;
        else if (post->postings[i].wallet && side_of(p, s->debit) < 0 && side_of(p, s->credit) < 0)
            refusal = REFUSAL_DEBIT_NORMAL_PAIR;
        if (refusal != REFUSAL_NONE) {
            refuse(p, refusal);
            return false;
        }
    }
    return true;
}

static bool expectations_hold(const struct play *p)
{
    const struct command_post *post = &p->command->as.post;
    for (size_t i = 0; i < post->n_expects; i++) {
        const struct expectation *e = &post->expects[i];
        struct model_leg head = head_of(p, resolve(p, &e->account, false));
        enum refusal refusal = REFUSAL_NONE;
        if (e->has_version && head.version != e->version)
            refusal = REFUSAL_EXPECTED_VERSION;
        else if (e->has_min_available && head.after * side_of(p, head.account) < e->min_available_minor)
            refusal = REFUSAL_EXPECTED_AVAILABLE;
        if (refusal == REFUSAL_NONE)
            continue;
        decline(p, refusal, head.account, 0, 0);
        return false;
    }
    return true;
}

static void play_post(const struct play *p)
{
    const struct command_post *post = &p->command->as.post;
    struct step steps[MODEL_POSTINGS];
    struct model_mark mark = model_mark(p->m);
    bool sense = postings_make_sense(p, steps);
    for (size_t i = 0; sense && i < post->n_expects; i++)
        if (resolve(p, &post->expects[i].account, false) == 0)
            refuse(p, REFUSAL_ACCOUNT_NOT_FOUND), sense = false;
    uint64_t watched = post->has_balance_after ? resolve(p, &post->balance_account, false) : 0;
    if (sense && post->has_balance_after && watched == 0)
        refuse(p, REFUSAL_ACCOUNT_NOT_FOUND), sense = false;
    if (sense && in_future(p))
        refuse(p, REFUSAL_EFFECTIVE_IN_FUTURE), sense = false;
    if (!sense) {
        model_undo(p->m, &mark); /* @world, if it was opened for this */
        return;
    }
    if (!steps_allowed(p, steps, post->n_postings, 0) || !expectations_hold(p))
        return;
    struct model_record *r = new_record(p, RECORD_TRANSFER);
    if (p->command->has_effective_at)
        r->effective = p->command->effective_at;
    if (!move(p, r, steps, post->n_postings))
        return;
    if (post->has_balance_after &&
        moving_head(p, r, watched).after * side_of(p, watched) != post->balance_after_minor) {
        refuse(p, REFUSAL_BALANCE_DIFFERS);
        model_undo(p->m, &mark);
        return;
    }
    keep(p);
}

/* Only what was committed before the batch can be named. */
static struct model_record *original_of(const struct play *p, uint64_t seq)
{
    size_t ledger = (size_t)(p->l - p->m->ledgers);
    return seq >= 1 && seq <= p->committed->records[ledger] ? &p->l->records[seq - 1] : NULL;
}

static void play_reverse(const struct play *p)
{
    const struct command_reverse *wish = &p->command->as.reverse;
    uint64_t seq = uuid_counter(wish->transfer);
    const struct model_record *original = original_of(p, seq);
    if (original == NULL || !uuid_eq(original->id, wish->transfer)) {
        refuse(p, REFUSAL_TRANSFER_NOT_FOUND);
        return;
    }
    enum refusal refusal = in_future(p)                               ? REFUSAL_EFFECTIVE_IN_FUTURE
                           : original->kind != RECORD_TRANSFER        ? REFUSAL_NOT_REVERSIBLE
                           : wish->has_amount && original->n_legs > 2 ? REFUSAL_PARTIAL_OF_MANY
                                                                      : REFUSAL_NONE;
    if (refusal != REFUSAL_NONE) {
        refuse(p, refusal);
        return;
    }
    struct step steps[MODEL_POSTINGS];
    size_t n = original->n_legs / 2;
    for (size_t i = 0; i < n; i++) {
        size_t posting = n - 1 - i;
        steps[i] = (struct step){original->legs[2 * posting + 1].account, original->legs[2 * posting].account,
            wish->has_amount ? wish->amount_minor : model_left(p->l, seq, posting, p->l->n_records)};
    }
    if (!steps_allowed(p, steps, n, seq))
        return;
    int64_t left = model_left(p->l, seq, 0, p->l->n_records);
    if (left == 0 || (wish->has_amount && wish->amount_minor > left)) {
        decline(p, REFUSAL_REVERSAL_EXCEEDS, original->legs[0].account,
            wish->has_amount ? wish->amount_minor : 0, seq);
        return;
    }
    struct model_record *r = new_record(p, RECORD_REVERSAL);
    r->related = seq;
    if (p->command->has_effective_at)
        r->effective = p->command->effective_at;
    if (move(p, r, steps, n))
        keep(p);
}

static void play_erase(const struct play *p)
{
    uint64_t seq = p->command->as.erase.seq;
    const struct model_record *original = original_of(p, seq);
    if (original == NULL) {
        refuse(p, REFUSAL_TRANSFER_NOT_FOUND);
        return;
    }
    if (!original->text || model_erased(p->l, seq)) {
        refuse(p, REFUSAL_NOTHING_TO_ERASE);
        return;
    }
    struct model_record *r = new_record(p, RECORD_ERASURE);
    r->related = seq;
    still_leg(r, head_of(p, original->legs[0].account));
    keep(p);
}

/* True if the key was used before, and the answer is given. */
static bool replayed(const struct play *p)
{
    struct str key = p->command->idempotency_key;
    for (size_t r = 0; key.data != NULL && r < p->l->n_records; r++) {
        const struct model_record *earlier = &p->l->records[r];
        if (earlier->key == NULL || !is(key, earlier->key))
            continue;
        if (strcmp(earlier->said, p->said) != 0) {
            refuse(p, REFUSAL_IDEMPOTENCY_KEY_REUSED);
            return true;
        }
        refuse(p, earlier->refusal);
        p->answer->replayed = true;
        p->answer->seq = r + 1;
        return true;
    }
    return false;
}

static void play_in_ledger(struct play *p)
{
    for (size_t i = 0; i < p->committed->ledgers && p->l == NULL; i++)
        if (is(p->command->ledger, p->m->ledgers[i].name))
            p->l = &p->m->ledgers[i];
    if (p->l == NULL) {
        refuse(p, REFUSAL_LEDGER_NOT_FOUND);
        return;
    }
    p->answer->ledger = (size_t)(p->l - p->m->ledgers);
    int64_t last = p->l->n_records > 0 ? p->l->records[p->l->n_records - 1].recorded : p->l->created;
    if (last > p->now)
        p->now = last;
    /* Another commit's instant is taken. */
    size_t of_others = p->committed->records[p->answer->ledger];
    if (of_others > 0 && p->l->records[of_others - 1].recorded >= p->now)
        p->now = p->l->records[of_others - 1].recorded + 1;
    if (replayed(p))
        return;
    if (p->command->op == COMMAND_OPEN_ACCOUNT)
        play_open(p);
    else if (p->command->op == COMMAND_REVISE_ACCOUNT)
        play_revise(p);
    else if (p->command->op == COMMAND_POST)
        play_post(p);
    else if (p->command->op == COMMAND_REVERSE)
        play_reverse(p);
    else
        play_erase(p);
}

static void play(struct play *p)
{
    *p->answer = (struct model_answer){.refusal = REFUSAL_NONE};
    if (p->command->op == COMMAND_CREATE_LEDGER)
        play_ledger(p);
    else if (p->command->op == COMMAND_DECLARE_ASSET)
        play_asset(p);
    else
        play_in_ledger(p);
}

/* The decline that stopped an atomic submission stands alone, on the heads as they are without its siblings.
 */
static void play_decline_again(struct play *p, const struct model_record *declined)
{
    p->answer->seq = 0;
    if (declined->kind != RECORD_DECLINED || declined->legs[0].account > p->l->n_accounts)
        return;
    enum refusal refusal = declined->refusal;
    decline(p, refusal, declined->legs[0].account, declined->declined, declined->related);
}

void model_submission(struct model *m, const struct model_mark *committed, const struct model_submission *s,
    int64_t now, struct model_answer *ret_answers)
{
    struct model_mark mark = model_mark(m);
    size_t stopped = s->n;
    for (size_t i = 0; i < s->n; i++) {
        if (stopped < s->n) {
            ret_answers[i] = (struct model_answer){.refusal = REFUSAL_NOT_APPLIED};
            continue;
        }
        struct play p = {m, committed, &s->commands[i], s->said[i], now, NULL, &ret_answers[i]};
        play(&p);
        bool refused = ret_answers[i].refusal != REFUSAL_NONE;
        if (refused && (s->atomic || s->stop_on_refusal))
            stopped = i;
        if (refused && s->atomic) {
            struct model_record declined = {0};
            bool fresh = ret_answers[i].seq != 0 && !ret_answers[i].replayed;
            if (fresh)
                declined = p.l->records[ret_answers[i].seq - 1];
            model_undo(m, &mark);
            for (size_t k = 0; k < i; k++)
                ret_answers[k] = (struct model_answer){.refusal = REFUSAL_NOT_APPLIED};
            if (fresh && !s->commands[i].dry_run)
                play_decline_again(&p, &declined);
        }
    }
    if (s->commands[0].dry_run)
        model_undo(m, &mark);
}
