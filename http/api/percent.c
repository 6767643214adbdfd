#include "http/api/percent.h"

enum { ESCAPE_LEN = 3 };

bool percent_decode(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            buf_add_char(out, text.ptr[i]);
            continue;
        }
        if (text.len - i < ESCAPE_LEN)
            return false;
        const int high = hex_value(text.ptr[i + 1]);
        const int low = hex_value(text.ptr[i + 2]);
        if (high < 0 || low < 0)
            return false;
        buf_add_char(out, (char)(high * 16 + low));
        i += ESCAPE_LEN - 1;
    }
    return !out->overflow;
}
