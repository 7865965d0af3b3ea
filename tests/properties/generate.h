/* Random commands for a model's ledger, so chosen that most of them mean something and some of them do not.
 */
#ifndef CREDITLEDGER_TESTS_PROPERTIES_GENERATE_H
#define CREDITLEDGER_TESTS_PROPERTIES_GENERATE_H

#include "base/arena.h"
#include "model.h"

struct generator {
    struct arena *arena; /* of the whole run */
    uint64_t *seed;
    int64_t now;   /* of the batch that the command is for */
    uint64_t keys; /* so many were made up */
};

struct request {
    struct command command;
    const char *said; /* all that the client chose, in words: equal requests say the same */
};

void generate(struct generator *g, const struct model *m, struct request *ret_request);
/* Says the request anew, after its command was changed. */
void request_say(struct generator *g, struct request *request);

#endif
