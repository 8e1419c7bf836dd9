#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "unexpected");
    exit(1);
}

void text_append(struct text *text, const char *data, size_t length)
{
    /* One byte more than asked, kept zero: a text can be searched with strstr. */
    if (text->length + length + 1 > text->capacity) {
        text->capacity = (text->length + length + 1) * 2;
        text->data = realloc(text->data, text->capacity);
        if (!text->data)
            give_up("memory");
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = 0;
}

void text_drop_front(struct text *text, size_t length)
{
    memmove(text->data, text->data + length, text->length - length);
    text->length -= length;
    text->data[text->length] = 0;
}

void text_free(struct text *text)
{
    free(text->data);
    memset(text, 0, sizeof *text);
}
