/* A text that grows: what TCP delivered in pieces, or a message made of several frames. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

struct text {
    char *data;
    size_t length, capacity;
};

void text_append(struct text *text, const char *data, size_t length);
void text_drop_front(struct text *text, size_t length);
void text_free(struct text *text);

/* Ends the program with a message, because its results would be wrong. */
_Noreturn void give_up(const char *what);

#endif
