/* The client's end of RFC 6455 and RFC 7692: frames out with a real mask, messages in however
   the server fragmented or compressed them and however TCP cut or joined their frames. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include "text.h"

#include <stdbool.h>
#include <zlib.h>

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

enum { HEADER = 14 }; /* bytes of the longest frame header */

struct websocket {
    struct text rest;    /* the beginning of a frame whose end has not arrived */
    struct text message; /* fragments of a message whose end has not arrived */
    enum opcode opcode;  /* of that message */
    bool compressed;     /* that message */
    bool takeover;       /* the server's compression refers to earlier messages */
    z_stream *inflater;  /* made with the first compressed message: it takes 40 KB */
};

/* Called once for each message and each control frame, with the payload as the server meant it. */
typedef void message_handler(void *owner, enum opcode opcode, const char *data, size_t length);

/* Take what TCP delivered. Returns false if it broke the protocol. */
bool websocket_feed(struct websocket *socket, const char *data, size_t length,
                    message_handler *handler, void *owner);

/* Write a masked frame, at most HEADER bytes longer than its payload; returns its length. */
size_t websocket_frame(char *out, enum opcode opcode, const char *payload, size_t length);

void websocket_free(struct websocket *socket);

#endif
