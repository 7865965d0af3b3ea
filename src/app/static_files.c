#include "app/static_files.h"

/* X(path, content type, symbol). embed/meson.build makes the symbols. */
#define FILES_ALWAYS(X) \
    X("/openapi.yaml", "application/yaml; charset=utf-8", openapi_yaml) \
    X("/api", "text/html; charset=utf-8", ui_page)
#define FILES_UI(X) \
    X("/api/start.js", "text/javascript; charset=utf-8", ui_start) \
    X("/api/style.css", "text/css; charset=utf-8", ui_style) \
    X("/api/swagger-ui-bundle.js", "text/javascript; charset=utf-8", ui_bundle) \
    X("/api/swagger-ui-bundle.js.LICENSE.txt", "text/plain; charset=utf-8", ui_bundle_notices) \
    X("/api/swagger-ui.css", "text/css; charset=utf-8", ui_bundle_style) \
    X("/api/LICENSE.txt", "text/plain; charset=utf-8", ui_bundle_license)

#ifdef CREDITLEDGER_SWAGGER_UI
#define FILES(X) FILES_ALWAYS(X) FILES_UI(X)
#else
#define FILES(X) FILES_ALWAYS(X)
#endif

#define X(path, type, symbol) extern const char embedded_##symbol[], embedded_##symbol##_end[];
FILES(X)
#undef X

#define X(path, type, symbol) +1
enum { N_FILES = 0 FILES(X) };
#undef X

static struct static_file files[N_FILES];

/* A file's length is the distance between two linker symbols, which C takes for no constant: so the table is
 * filled before main, when there is one thread. */
__attribute__((constructor)) static void files_fill(void)
{
    size_t n = 0;
#define X(p, type, symbol) \
    files[n++] = (struct static_file){.path = (p), \
        .content_type = (type), \
        .bytes = {embedded_##symbol, (size_t)(embedded_##symbol##_end - embedded_##symbol)}};
    FILES(X)
#undef X
}

const struct static_file *static_file_find(struct str path)
{
    if (str_eq_c(path, "/api/"))
        path = STR("/api");
    for (size_t i = 0; i < N_FILES; i++)
        if (str_eq_c(path, files[i].path))
            return &files[i];
    return NULL;
}
