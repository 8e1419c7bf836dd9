/* A Socket.IO client in a browser, as a server sees it: it connects by websocket, or by long polling
   followed by an upgrade, answers pings, counts what it receives, and disconnects. */
#ifndef CLIENT_H
#define CLIENT_H

#include "websocket.h"

#include <stdint.h>

enum mode { BY_WEBSOCKET, BY_UPGRADE };

enum stage {
    OPENING, /* until the server has accepted the namespace, and the upgrade if there is one */
    READY,
    CLOSING, /* has sent a close frame, and the server has not closed yet */
    GONE,
};

struct client;

/* One TCP connection of a client: a browser that upgrades uses three. */
struct line {
    int fd;
    enum line_kind { SOCKET, POLL, POST } kind;
    struct client *client;
    struct text reply; /* the part of an HTTP reply that has arrived */
};

struct client {
    enum stage stage;
    enum mode mode;
    size_t position; /* in `ready` */
    bool opened;     /* the websocket: the 101 has arrived */
    bool joined;     /* the namespace */
    bool refused;    /* by the namespace */
    bool probed;     /* the server has answered the probe of the upgrade */
    bool polling;    /* a poll is waiting for its answer */
    char sid[64];    /* of the Engine.IO session, while it polls */
    unsigned last;   /* the number of the last message it received, if that is counted */
    struct line socket, poll, post;
    struct websocket websocket;
};

/* The same for all clients, and set before the first connects; the port may change later. */
struct target {
    uint16_t port;
    bool offer_deflate; /* as browsers do */
    const char *origin;
    char **cookies;     /* a header for each client in turn, or NULL */
    size_t cookie_count;
};

extern struct target target;

extern struct client **ready; /* the clients in stage READY, in no particular order */
extern size_t ready_count;
extern size_t opening_count, closing_count;
extern size_t failed_count;  /* clients that could not connect */
extern size_t dropped_count; /* ready clients that the server disconnected */

/* Called with every Socket.IO event (`42…`) and ack (`43…`) a client receives. */
typedef void packet_handler(struct client *client, const char *packet, size_t length);
extern packet_handler *on_packet;

void client_open(enum mode mode);
void client_close(struct client *client);

/* Sends one Engine.IO packet over the websocket. */
void client_send(struct client *client, const char *packet, size_t length);

/* Handles what has arrived, after waiting for at most this many milliseconds. Returns true if
   there is a command on stdin. */
bool clients_turn(int milliseconds);
void clients_start(int command_pipe);

#endif
