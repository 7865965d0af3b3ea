/*
 * What the database can tell about itself. The migrations' text is the model: what it makes must be there, must be
 * enabled, and functions and triggers must say what it says. (Definitions of tables, views and expressions are not
 * compared: what PostgreSQL prints of them differs between its versions.) And what a server's role may do that it need not.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/postgres_internal.h"

struct checking {
    struct postgres_journal *p;
    struct pg_wire *wire;
    journal_note_visit *visit;
    void *ctx;
    struct arena arena;
};

/* ---- what the migrations make ---- */

enum kind { FUNCTION, TRIGGER, INDEX, CONSTRAINT, TABLE, VIEW };
static const char *const kind_names[] = {"function", "trigger", "index", "constraint", "table", "view"};

/* A function's text is its body, with settings beside it; a trigger's is its whole definition. `name` of a trigger is
 * "name on table". */
struct object {
    enum kind kind;
    struct str name, text, settings;
    bool security_definer, found;
};

#define OBJECTS_MAX 512

struct model {
    struct object objects[OBJECTS_MAX];
    size_t n;
    struct arena *arena;
};

static struct object *model_find(struct model *m, enum kind kind, struct str name)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->objects[i].kind == kind && str_eq(m->objects[i].name, name))
            return &m->objects[i];
    return NULL;
}

/* One that is made again replaces what it was. */
static struct object *model_add(struct model *m, enum kind kind, struct str name)
{
    struct object *object = model_find(m, kind, name);
    if (object == NULL) {
        INVARIANT(m->n < OBJECTS_MAX);
        object = &m->objects[m->n++];
    }
    *object = (struct object){.kind = kind, .name = name};
    return object;
}

static const char *skip_words(const char *p, const char *words)
{
    size_t len = strlen(words);
    return strncmp(p, words, len) == 0 ? p + len : NULL;
}

static struct str take_name(const char **p)
{
    const char *schema = skip_words(*p, POSTGRES_SCHEMA ".");
    const char *start = schema != NULL ? schema : *p;
    size_t len = strspn(start, "abcdefghijklmnopqrstuvwxyz0123456789_");
    *p = start + len;
    return (struct str){start, len};
}

/* Blanks and line ends are one blank each; UPDATE and DELETE in the order in which PostgreSQL prints them. */
static struct str one_line(struct arena *arena, const char *start, const char *end)
{
    static const char ours[] = "UPDATE OR DELETE", theirs[] = "DELETE OR UPDATE";
    char *text = arena_alloc(arena, (size_t)(end - start) + 1);
    size_t n = 0;
    for (const char *p = start; p < end; p++) {
        if (!isspace((unsigned char)*p))
            text[n++] = *p;
        else if (n > 0 && text[n - 1] != ' ')
            text[n++] = ' ';
    }
    text[n] = '\0';
    char *events = strstr(text, ours);
    if (events != NULL)
        memcpy(events, theirs, sizeof theirs - 1);
    return (struct str){text, n};
}

/* "SET a = b SET c = 'd'" in a function's head, as pg_proc has it: "a=b\nc=d". */
static struct str settings_of(struct arena *arena, struct str head)
{
    struct strbuf settings;
    strbuf_init(&settings);
    const char *next = strstr(head.data, " SET ");
    while (next != NULL) {
        const char *name = next + 5, *equals = strstr(name, " = ");
        INVARIANT(equals != NULL);
        next = strstr(equals, " SET ");
        const char *value = equals + 3, *end = next != NULL ? next : head.data + head.len;
        while (end > value && end[-1] == ' ')
            end--;
        bool quoted = *value == '\'';
        if (settings.len > 0)
            strbuf_char(&settings, '\n');
        strbuf_add(&settings, name, (size_t)(equals - name));
        strbuf_char(&settings, '=');
        strbuf_add(&settings, value + quoted, (size_t)(end - value) - 2 * (size_t)quoted);
    }
    struct str copy = settings.len == 0 ? STR("") : arena_str(arena, strbuf_view(&settings));
    strbuf_fini(&settings);
    return copy;
}

/* A function that is an expression (RETURN ...) has no text of its own in the catalog; those only print. */
static const char *take_function(struct model *m, const char *p)
{
    struct object *object = model_add(m, FUNCTION, take_name(&p));
    const char *as = strstr(p, "AS $"), *end = strchr(p, ';');
    INVARIANT(end != NULL);
    object->text = object->settings = STR("");
    if (as == NULL || as > end)
        return end;
    const char *tag = as + 3, *body = strchr(tag + 1, '$');
    INVARIANT(body != NULL);
    struct str quote = arena_str(m->arena, (struct str){tag, (size_t)(++body - tag)});
    end = strstr(body, quote.data);
    INVARIANT(end != NULL);
    struct str head = one_line(m->arena, p, as);
    object->text = (struct str){body, (size_t)(end - body)};
    object->settings = settings_of(m->arena, head);
    object->security_definer = strstr(head.data, "SECURITY DEFINER") != NULL;
    return end + quote.len;
}

static const char *take_trigger(struct model *m, const char *start, const char *p)
{
    struct str name = take_name(&p);
    const char *on = strstr(p, " ON "), *end = strchr(p, ';');
    INVARIANT(on != NULL && end != NULL && on < end);
    on += 4;
    struct str table = take_name(&on);
    struct str whole = arena_printf(m->arena, STR_FMT " on " STR_FMT, STR_ARG(name), STR_ARG(table));
    model_add(m, TRIGGER, whole)->text = one_line(m->arena, start, end);
    return end;
}

/* What stands at p, if it makes something; where to read on. */
static const char *take_object(struct model *m, const char *p)
{
    static const struct {
        const char *words;
        enum kind kind;
    } makers[] = {
        {"CREATE FUNCTION ", FUNCTION},
        {"CREATE OR REPLACE FUNCTION ", FUNCTION},
        {"CREATE TRIGGER ", TRIGGER},
        {"CREATE INDEX ", INDEX},
        {"CREATE UNIQUE INDEX ", INDEX},
        {"CREATE TABLE ", TABLE},
        {"CREATE VIEW ", VIEW},
        {"CREATE OR REPLACE VIEW ", VIEW},
        {"CONSTRAINT ", CONSTRAINT},
    };
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        const char *name = skip_words(p, makers[i].words);
        if (name == NULL)
            continue;
        if (makers[i].kind == FUNCTION)
            return take_function(m, name);
        if (makers[i].kind == TRIGGER)
            return take_trigger(m, p, name);
        model_add(m, makers[i].kind, take_name(&name));
        return name;
    }
    return p + 1;
}

static void model_read(struct model *m, bool plain)
{
    for (unsigned i = 0; i < postgres_migration_count; i++) {
        const struct postgres_migration *migration = &postgres_migrations[i];
        size_t length = postgres_migration_length(migration, plain);
        const char *sql = arena_str(m->arena, (struct str){migration->sql, length}).data;
        for (const char *p = sql; *p != '\0';)
            p = skip_words(p, "--") != NULL ? p + strcspn(p, "\n") : take_object(m, p);
    }
}

/* ---- what is there ---- */

#define OF_SCHEMA " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'creditledger'"

/* kind, name, text, settings, security definer, good. Names that PostgreSQL chose itself are passed over. */
static const struct pg_statement statement_objects = {"check_objects",
    "SELECT 0, p.proname::text, p.prosrc, coalesce(pg_catalog.array_to_string(p.proconfig, E'\\n'), ''), "
    "p.prosecdef, true"
    " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    " WHERE n.nspname = 'creditledger'"
    " UNION ALL SELECT 1, t.tgname || ' on ' || c.relname, pg_catalog.pg_get_triggerdef(t.oid), '', false, "
    "t.tgenabled = 'A'"
    " FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid" OF_SCHEMA
    " WHERE NOT t.tgisinternal"
    " UNION ALL SELECT 2, c.relname::text, '', '', false, i.indisvalid AND i.indisready AND i.indislive"
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid" OF_SCHEMA
    " UNION ALL SELECT 3, k.conname::text, '', '', false, k.convalidated"
    " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace"
    " WHERE n.nspname = 'creditledger'"
    " UNION ALL SELECT CASE c.relkind WHEN 'v' THEN 5 ELSE 4 END, c.relname::text, '', '', false,"
    " NOT c.relrowsecurity AND (c.relkind = 'v' OR NOT c.relhasrules) FROM pg_catalog.pg_class c" OF_SCHEMA
    " WHERE c.relkind IN ('r', 'p', 'v', 'f')"};

static const char *wrong(enum kind kind)
{
    switch (kind) {
    case FUNCTION:
        return "is not what the migrations made";
    case TRIGGER:
        return "is not enabled ALWAYS";
    case INDEX:
        return "is not valid: REINDEX it";
    case CONSTRAINT:
        return "is not validated";
    case TABLE:
    case VIEW:
        return "has rules or row level security";
    }
    return NULL;
}

/* Indexes that belong to constraints, and what PostgreSQL named itself, are checked for being valid only. */
static int check_object(const struct checking *c, struct model *m, const PGresult *result, int row)
{
    enum kind kind = (enum kind)pg_int(result, row, 0);
    struct str name = pg_str(result, row, 1);
    struct object *object = model_find(m, kind, name);
    bool same = true;
    if (object != NULL) {
        object->found = true;
        if (kind == FUNCTION)
            same = str_eq(pg_str(result, row, 3), object->settings) &&
                   pg_bool(result, row, 4) == object->security_definer;
        if (kind == FUNCTION || kind == TRIGGER)
            same = same && str_eq(pg_str(result, row, 2), object->text);
    }
    int rc = 0;
    if (!same)
        rc = journal_note(c->visit, c->ctx, "%s " STR_FMT " is not what the migrations made: it was altered",
            kind_names[kind], STR_ARG(name));
    if (rc == 0 && !pg_bool(result, row, 5))
        rc =
            journal_note(c->visit, c->ctx, "%s " STR_FMT " %s", kind_names[kind], STR_ARG(name), wrong(kind));
    bool own = kind == FUNCTION || kind == TRIGGER || kind == VIEW ||
               (kind == TABLE && !str_eq_c(name, "migration"));
    if (rc == 0 && object == NULL && own)
        rc = journal_note(
            c->visit, c->ctx, "%s " STR_FMT " is not of this schema", kind_names[kind], STR_ARG(name));
    return rc;
}

static int check_objects(struct checking *c, struct err *err)
{
    PGresult *result = NULL;
    struct model *m = ARENA_NEW(&c->arena, struct model);
    m->arena = &c->arena;
    model_read(m, c->p->plain);
    int rc = pg_run(c->wire, &statement_objects, NULL, &result, err);
    for (int i = 0; rc == 0 && i < PQntuples(result); i++)
        rc = check_object(c, m, result, i);
    PQclear(result);
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        if (!m->objects[i].found)
            rc = journal_note(c->visit, c->ctx, "%s " STR_FMT " is missing", kind_names[m->objects[i].kind],
                STR_ARG(m->objects[i].name));
    return rc;
}

/* One note a row of one column. */
static int check_rows(
    const struct checking *c, const struct pg_statement *statement, const char *prefix, struct err *err)
{
    PGresult *result = NULL;
    int rc = pg_run(c->wire, statement, NULL, &result, err);
    for (int i = 0; rc == 0 && i < PQntuples(result); i++)
        rc = journal_note(c->visit, c->ctx, "%s" STR_FMT, prefix, STR_ARG(pg_str(result, i, 0)));
    PQclear(result);
    return rc;
}

#define AFTER_HEAD(table) \
    "SELECT 'ledger ' || l.name || ', table " #table ", seq ' || x.seq FROM creditledger.ledger l" \
    " CROSS JOIN LATERAL (SELECT t.seq FROM creditledger." #table " t WHERE t.ledger = l.id AND t.seq >" \
    " coalesce((SELECT j.seq FROM creditledger.journal j WHERE j.ledger = l.id ORDER BY j.seq DESC LIMIT " \
    "1), 0)" \
    " ORDER BY t.seq LIMIT 1) x"
static const struct pg_statement statement_loose = {
    "check_loose", AFTER_HEAD(entry) " UNION ALL " AFTER_HEAD(account_revision) " UNION ALL " AFTER_HEAD(
                       lot) " UNION ALL " AFTER_HEAD(record_text)};
#define TORN_PAGES \
    "SELECT 'full_page_writes is off: safe only on storage that never tears a page'" \
    " WHERE pg_catalog.current_setting('full_page_writes', true) = 'off'"
static const struct pg_statement statement_pages = {"check_pages", TORN_PAGES};
static const struct pg_statement statement_settings = {"check_settings", TORN_PAGES
    " UNION ALL SELECT 'fsync is off: a crash of the server can lose or damage what was acknowledged'"
    " WHERE pg_catalog.current_setting('fsync', true) = 'off'"
    " UNION ALL SELECT 'synchronous_commit is off: a crash of the server can lose what was acknowledged'"
    " WHERE pg_catalog.current_setting('synchronous_commit', true) = 'off'"};

static int check_version(const struct checking *c)
{
    struct err err = {0};
    bool plain;
    int rc = postgres_schema_check(c->wire, &plain, &err);
    return rc == 0 ? 0 : journal_note(c->visit, c->ctx, "schema: %s", err.message);
}

int postgres_self_check(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err)
{
    struct checking c = {.p = (struct postgres_journal *)j, .visit = visit, .ctx = ctx};
    int rc = postgres_reading(c.p, &c.wire, err);
    if (rc != 0)
        return rc;
    arena_init(&c.arena, 65536);
    rc = check_version(&c);
    if (rc == 0)
        rc = check_objects(&c, err);
    if (rc == 0)
        rc = check_rows(&c, &statement_loose, "I1: rows of a record without the record: ", err);
    if (rc == 0)
        rc = check_rows(&c, &statement_settings, "server: ", err);
    arena_fini(&c.arena);
    return rc;
}

/* ---- rights ---- */

static const struct pg_statement statement_rights = {"check_rights",
    "SELECT 'role ' || r.rolname || ' is a superuser' FROM pg_catalog.pg_roles r"
    " WHERE r.rolname = current_user AND r.rolsuper"
    " UNION ALL SELECT 'role ' || r.rolname || ' may make roles, and so give itself any right'"
    " FROM pg_catalog.pg_roles r WHERE r.rolname = current_user AND r.rolcreaterole AND NOT r.rolsuper"
    " UNION ALL SELECT 'role ' || current_user || ' owns ' || pg_catalog.string_agg(c.relname, ', ' ORDER BY "
    "c.relname)"
    " FROM pg_catalog.pg_class c" OF_SCHEMA " WHERE c.relkind IN ('r', 'p')"
    " AND pg_catalog.pg_has_role(c.relowner, 'MEMBER')"
    " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname = current_user AND r.rolsuper)"
    " HAVING count(*) > 0"
    " UNION ALL SELECT 'role ' || current_user || ' may ' || w.word || ' ' ||"
    " pg_catalog.string_agg(c.relname, ', ' ORDER BY c.relname)"
    " FROM pg_catalog.pg_class c" OF_SCHEMA
    " CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('TRIGGER')) AS w(word)"
    " WHERE c.relkind IN ('r', 'p') AND pg_catalog.has_table_privilege(c.oid, w.word)"
    " AND NOT pg_catalog.pg_has_role(c.relowner, 'MEMBER') GROUP BY w.word"
    " UNION ALL SELECT 'role ' || current_user || ' may create in schema creditledger'"
    " FROM pg_catalog.pg_namespace n WHERE n.nspname = 'creditledger'"
    " AND pg_catalog.has_schema_privilege(n.oid, 'CREATE') AND NOT pg_catalog.pg_has_role(n.nspowner, "
    "'MEMBER')"};

int postgres_excess_rights(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err)
{
    struct checking c = {.p = (struct postgres_journal *)j, .visit = visit, .ctx = ctx};
    int rc = postgres_reading(c.p, &c.wire, err);
    if (rc == 0)
        rc = check_rows(&c, &statement_rights, "", err);
    return rc != 0 ? rc : check_rows(&c, &statement_pages, "", err);
}
