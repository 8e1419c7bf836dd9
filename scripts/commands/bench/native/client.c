#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct target target;
struct client **ready;
size_t ready_count, opening_count, closing_count, failed_count, dropped_count;
packet_handler *on_packet;

static int epoll;

/* ---- lines: TCP to the server ------------------------------------------------------------ */

/* One loopback address has 28,000 client ports, and a closed one is unavailable for a minute. */
static struct sockaddr_in next_source(void)
{
    static uint32_t turn;
    uint32_t host = 0x7f000002 + turn++ % 32; /* 127.0.0.2 to 127.0.0.33 */
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
}

static void line_open(struct line *line, enum line_kind kind, struct client *client)
{
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons(target.port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in source = next_source();
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        give_up("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&source, sizeof source))
        give_up("bind");
    /* On loopback the kernel accepts at once, so there is no need to wait. */
    if (connect(fd, (struct sockaddr *)&server, sizeof server))
        give_up("connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    *line = (struct line){.fd = fd, .kind = kind, .client = client};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll_ctl");
}

static void line_close(struct line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
    text_free(&line->reply);
}

/* A client's messages fit into an empty socket buffer. If a server lets it fill up, messages are
   counted as lost. */
static void line_send(struct line *line, const char *data, size_t length)
{
    ssize_t sent = send(line->fd, data, length, MSG_NOSIGNAL);
    bool closed = sent < 0 && (errno == EPIPE || errno == ECONNRESET); /* noticed when it is read */
    if (sent != (ssize_t)length && !closed)
        give_up("send");
}

/* ---- HTTP requests, with the headers a browser sends ------------------------------------- */

static const char *next_cookie(void)
{
    static size_t turn;
    return target.cookie_count ? target.cookies[turn++ % target.cookie_count] : "";
}

static void request(struct line *line, const char *method, const char *query, const char *rest)
{
    char text[4096];
    int length = snprintf(
        text, sizeof text,
        "%s /socket.io/?EIO=4&transport=%s HTTP/1.1\r\n"
        "Host: 127.0.0.1:%u\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-GB,en;q=0.9\r\n"
        "Origin: %s\r\n"
        "%s%s",
        method, query, target.port, target.origin, next_cookie(), rest);
    line_send(line, text, (size_t)length);
}

static void request_websocket(struct client *client)
{
    char query[128] = "websocket", rest[512];
    if (client->sid[0])
        snprintf(query, sizeof query, "websocket&sid=%s", client->sid);
    /* The key may be the same for all clients, because no server checks that it is random. */
    snprintf(rest, sizeof rest,
             "Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
             target.offer_deflate
                 ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                 : "");
    line_open(&client->socket, SOCKET, client);
    request(&client->socket, "GET", query, rest);
}

static void request_poll(struct client *client)
{
    char query[128] = "polling";
    if (client->sid[0])
        snprintf(query, sizeof query, "polling&sid=%s", client->sid);
    client->polling = true;
    request(&client->poll, "GET", query, "Connection: keep-alive\r\nAccept: */*\r\n\r\n");
}

static void request_post(struct client *client, const char *packet)
{
    char query[128], rest[256];
    snprintf(query, sizeof query, "polling&sid=%s", client->sid);
    snprintf(rest, sizeof rest,
             "Connection: keep-alive\r\nAccept: */*\r\nContent-Type: text/plain;charset=UTF-8\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(packet), packet);
    line_open(&client->post, POST, client);
    request(&client->post, "POST", query, rest);
}

/* ---- stages ------------------------------------------------------------------------------ */

static void lines_close(struct client *client)
{
    line_close(&client->socket);
    line_close(&client->poll);
    line_close(&client->post);
    websocket_free(&client->websocket);
}

static void enter_ready(struct client *client)
{
    static size_t capacity;
    if (ready_count == capacity) {
        capacity = capacity ? capacity * 2 : 1024;
        ready = realloc(ready, capacity * sizeof *ready);
        if (!ready)
            give_up("memory");
    }
    client->stage = READY;
    client->position = ready_count;
    ready[ready_count++] = client;
    opening_count--;
}

static void leave_ready(struct client *client)
{
    ready[client->position] = ready[--ready_count];
    ready[client->position]->position = client->position;
}

/* Freed only after the turn, because its list may still have events of the client's other lines. */
enum { EVENTS = 512 }; /* of a turn */
static struct client *gone[EVENTS];
static size_t gone_count;

static void end(struct client *client)
{
    if (client->stage == OPENING) {
        opening_count--;
        failed_count++;
    } else if (client->stage == READY) {
        leave_ready(client);
        dropped_count++;
    } else if (client->stage == CLOSING) {
        closing_count--;
    } else {
        return;
    }
    client->stage = GONE;
    lines_close(client);
    gone[gone_count++] = client;
}

static void free_gone(void)
{
    while (gone_count)
        free(gone[--gone_count]);
}

void client_open(enum mode mode)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        give_up("memory");
    client->mode = mode;
    client->socket.fd = client->poll.fd = client->post.fd = -1;
    opening_count++;
    if (mode == BY_WEBSOCKET) {
        request_websocket(client);
    } else {
        line_open(&client->poll, POLL, client);
        request_poll(client);
    }
}

void client_close(struct client *client)
{
    static const char going_away[] = "\x03\xe9"; /* 1001, as when a tab is closed */
    char frame[HEADER + 2];
    leave_ready(client);
    client->stage = CLOSING;
    closing_count++;
    line_send(&client->socket, frame, websocket_frame(frame, CLOSE, going_away, 2));
}

void client_send(struct client *client, const char *packet, size_t length)
{
    char frame[HEADER + 65536];
    line_send(&client->socket, frame, websocket_frame(frame, TEXT, packet, length));
}

static void upgrade_if_probed(struct client *client)
{
    if (!client->probed || client->polling || client->post.fd >= 0 || client->poll.fd < 0)
        return;
    client_send(client, "5", 1);
    line_close(&client->poll);
    if (client->joined)
        enter_ready(client);
}

static void join_namespace(struct client *client)
{
    client->joined = true;
    bool by_websocket = client->mode == BY_WEBSOCKET || (client->probed && client->poll.fd < 0);
    if (client->stage == OPENING && by_websocket)
        enter_ready(client);
}

/* ---- what arrives ------------------------------------------------------------------------ */

static void take_packet(struct client *client, const char *packet, size_t length)
{
    if (length > 1 && packet[0] == '4' && (packet[1] == '2' || packet[1] == '3'))
        on_packet(client, packet, length);
    else if (length > 1 && packet[0] == '4' && packet[1] == '0')
        join_namespace(client);
    else if (length > 1 && packet[0] == '4' && packet[1] == '4')
        client->refused = true;
    else if (packet[0] == '0')
        client_send(client, "40", 2);
    else if (length == 1 && packet[0] == '2')
        client_send(client, "3", 1);
    else if (packet[0] == '3') {
        client->probed = true;
        upgrade_if_probed(client);
    }
}

static void take_message(void *owner, enum opcode opcode, const char *data, size_t length)
{
    struct client *client = owner;
    char frame[HEADER + 125];
    if (client->stage == GONE)
        return;
    if (opcode == TEXT && length)
        take_packet(client, data, length);
    else if (opcode == PING)
        line_send(&client->socket, frame, websocket_frame(frame, PONG, data, length));
}

static void open_websocket(struct client *client, const char *head)
{
    client->opened = true;
    client->websocket.takeover = !strcasestr(head, "server_no_context_takeover");
    if (client->mode == BY_UPGRADE)
        client_send(client, "2probe", 6);
}

static bool take_opening(struct client *client, const char *data, size_t length)
{
    struct text *reply = &client->socket.reply;
    text_append(reply, data, length);
    char *body = strstr(reply->data, "\r\n\r\n");
    if (!body)
        return true;
    if (strncmp(reply->data, "HTTP/1.1 101", 12))
        return false;
    body[2] = 0;
    body += 4;
    open_websocket(client, reply->data);
    size_t left = reply->length - (size_t)(body - reply->data);
    bool valid = websocket_feed(&client->websocket, body, left, take_message, client);
    text_free(&client->socket.reply);
    return valid;
}

static void start_session(struct client *client, const char *open)
{
    const char *sid = strstr(open, "\"sid\":\"");
    if (!sid || sscanf(sid + 7, "%63[^\"]", client->sid) != 1)
        give_up("an Engine.IO session without a sid");
    request_poll(client);
    request_post(client, "40");
    request_websocket(client);
}

/* A poll returns one or more packets. None of them is an event, because no client sends any yet. */
static void take_poll(struct client *client, char *body)
{
    client->polling = false;
    if (!client->sid[0]) {
        start_session(client, body);
        return;
    }
    for (char *packet = strtok(body, "\x1e"); packet; packet = strtok(NULL, "\x1e"))
        if (!strncmp(packet, "40", 2))
            join_namespace(client);
    if (client->probed)
        upgrade_if_probed(client);
    else
        request_poll(client);
}

/* Returns the body once all of it has arrived. */
static char *http_body(const struct text *reply)
{
    char *body = strstr(reply->data, "\r\n\r\n");
    char *header = strcasestr(reply->data, "\r\ncontent-length:");
    if (!body || !header || header > body)
        return NULL;
    body += 4;
    size_t length = strtoul(header + 17, NULL, 10);
    return reply->length - (size_t)(body - reply->data) >= length ? body : NULL;
}

static bool take_http(struct line *line, const char *data, size_t length)
{
    struct text reply = line->reply;
    text_append(&reply, data, length);
    line->reply = reply;
    char *body = http_body(&reply);
    if (!body)
        return true;
    if (strncmp(reply.data, "HTTP/1.1 200", 12))
        return false;
    line->reply = (struct text){0}; /* the next reply may begin while this one is read */
    if (line->kind == POLL) {
        take_poll(line->client, body);
    } else {
        line_close(line);
        upgrade_if_probed(line->client);
    }
    text_free(&reply);
    return true;
}

static bool take(struct line *line, const char *data, size_t length)
{
    struct client *client = line->client;
    if (line->kind != SOCKET)
        return take_http(line, data, length);
    if (!client->opened)
        return take_opening(client, data, length);
    return websocket_feed(&client->websocket, data, length, take_message, client);
}

static void line_readable(struct line *line)
{
    static char buffer[1 << 18];
    if (line->fd < 0)
        return;
    ssize_t length = recv(line->fd, buffer, sizeof buffer, 0);
    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0 || !take(line, buffer, (size_t)length) || line->client->refused)
        end(line->client);
}

bool clients_turn(int milliseconds)
{
    struct epoll_event events[EVENTS];
    bool command = false;
    int count = epoll_wait(epoll, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            line_readable(events[i].data.ptr);
        else
            command = true;
    }
    free_gone();
    return command;
}

void clients_start(int command_pipe)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, command_pipe, &event))
        give_up("epoll");
}
