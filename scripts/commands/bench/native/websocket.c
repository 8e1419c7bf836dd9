#include "websocket.h"

#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct frame {
    enum opcode opcode;
    bool final, compressed;
    const char *payload;
    size_t length, size; /* of the payload; of the whole frame */
};

/* A fast generator (xorshift): masks must differ, but need not be secure. */
static uint32_t random_mask(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static size_t write_header(char *out, enum opcode opcode, size_t length)
{
    out[0] = (char)(0x80 | opcode);
    if (length < 126) {
        out[1] = (char)(0x80 | length);
        return 2;
    }
    if (length > UINT16_MAX)
        give_up("a message of more than 65,535 bytes is more than this program sends");
    uint16_t big_endian = htobe16((uint16_t)length);
    out[1] = (char)(0x80 | 126);
    memcpy(out + 2, &big_endian, 2);
    return 4;
}

size_t websocket_frame(char *out, enum opcode opcode, const char *payload, size_t length)
{
    size_t at = write_header(out, opcode, length);
    uint32_t mask = random_mask();
    memcpy(out + at, &mask, 4);
    const char *mask_bytes = out + at;
    at += 4;
    for (size_t i = 0; i < length; i++)
        out[at + i] = payload[i] ^ mask_bytes[i & 3];
    return at + length;
}

/* Returns 1 for a whole frame, 0 if its end is missing, -1 if no server may send it. */
static int read_frame(struct frame *frame, const char *data, size_t available)
{
    const unsigned char *bytes = (const unsigned char *)data;
    if (available < 2)
        return 0;
    frame->final = bytes[0] & 0x80;
    frame->compressed = bytes[0] & 0x40;
    frame->opcode = bytes[0] & 0x0f;
    if (bytes[0] & 0x30 || bytes[1] & 0x80) /* reserved bits; a server must not mask */
        return -1;
    size_t header = bytes[1] == 126 ? 4 : bytes[1] == 127 ? 10 : 2;
    if (available < header)
        return 0;
    frame->length = bytes[1];
    if (header == 4)
        frame->length = (size_t)bytes[2] << 8 | bytes[3];
    if (header == 10) {
        uint64_t big_endian;
        memcpy(&big_endian, bytes + 2, 8);
        frame->length = be64toh(big_endian);
    }
    frame->payload = data + header;
    frame->size = header + frame->length;
    return available >= frame->size;
}

static void start_inflater(struct websocket *socket)
{
    socket->inflater = calloc(1, sizeof *socket->inflater);
    if (!socket->inflater || inflateInit2(socket->inflater, -15) != Z_OK)
        give_up("zlib");
}

static bool inflate_message(struct websocket *socket, message_handler *handler, void *owner)
{
    static char plain[1 << 20];
    text_append(&socket->message, "\0\0\xff\xff", 4); /* the bytes that the sender omits, RFC 7692 7.2.2 */
    if (!socket->inflater)
        start_inflater(socket);
    z_stream *stream = socket->inflater;
    stream->next_in = (Bytef *)socket->message.data;
    stream->avail_in = (uInt)socket->message.length;
    stream->next_out = (Bytef *)plain;
    stream->avail_out = sizeof plain;
    int outcome = inflate(stream, Z_SYNC_FLUSH);
    if ((outcome != Z_OK && outcome != Z_BUF_ERROR) || stream->avail_in)
        return false;
    handler(owner, socket->opcode, plain, sizeof plain - stream->avail_out);
    if (!socket->takeover)
        inflateReset(stream);
    return true;
}

static bool take_fragment(struct websocket *socket, const struct frame *frame,
                          message_handler *handler, void *owner)
{
    if (frame->opcode != CONTINUATION) {
        socket->opcode = frame->opcode;
        socket->compressed = frame->compressed;
    }
    text_append(&socket->message, frame->payload, frame->length);
    if (!frame->final)
        return true;
    bool valid = true;
    if (socket->compressed)
        valid = inflate_message(socket, handler, owner);
    else
        handler(owner, socket->opcode, socket->message.data, socket->message.length);
    text_free(&socket->message);
    return valid;
}

static bool take_frame(struct websocket *socket, const struct frame *frame,
                       message_handler *handler, void *owner)
{
    bool whole = frame->final && !frame->compressed && frame->opcode != CONTINUATION;
    if (!whole)
        return take_fragment(socket, frame, handler, owner);
    handler(owner, frame->opcode, frame->payload, frame->length);
    return true;
}

static void keep_rest(struct websocket *socket, bool resumed, const char *data, size_t length)
{
    if (!length)
        text_free(&socket->rest); /* an idle client holds no buffer */
    else if (resumed)
        text_drop_front(&socket->rest, socket->rest.length - length);
    else
        text_append(&socket->rest, data, length);
}

bool websocket_feed(struct websocket *socket, const char *data, size_t length,
                    message_handler *handler, void *owner)
{
    bool resumed = socket->rest.length > 0;
    if (resumed) {
        text_append(&socket->rest, data, length);
        data = socket->rest.data;
        length = socket->rest.length;
    }
    struct frame frame;
    size_t used = 0;
    int outcome;
    while ((outcome = read_frame(&frame, data + used, length - used)) > 0) {
        if (!take_frame(socket, &frame, handler, owner))
            return false;
        used += frame.size;
    }
    keep_rest(socket, resumed, data + used, length - used);
    return outcome == 0;
}

void websocket_free(struct websocket *socket)
{
    text_free(&socket->rest);
    text_free(&socket->message);
    if (socket->inflater)
        inflateEnd(socket->inflater);
    free(socket->inflater);
    memset(socket, 0, sizeof *socket);
}
