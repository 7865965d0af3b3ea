#include "telemetry/json_text.h"

void json_text(struct strbuf *b, struct str s)
{
    bool valid = str_utf8_valid(s);
    strbuf_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '"' || c == '\\') {
            strbuf_char(b, '\\');
            strbuf_char(b, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            strbuf_printf(b, "\\u%04x", c);
        } else if (c >= 0x80 && !valid) {
            strbuf_c(b, "\\ufffd");
        } else {
            strbuf_char(b, (char)c);
        }
    }
    strbuf_char(b, '"');
}
