/* The lower bound: a server that only moves prebuilt frames between sockets. It speaks just enough
   WebSocket and Socket.IO for the load generator, and only with well-behaved clients: it cannot
   read a frame that TCP has split, route, check or refuse anything. */
#define _GNU_SOURCE
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 65536, FRAME = 1024 };

static int clients[CLIENTS]; /* the file descriptors of those who joined */
static int position[CLIENTS];
static int count;

/* The answer to the one key our load generator sends, so that no SHA-1 is needed here. */
static const char OPENED[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char SESSION[] =
    "0{\"sid\":\"x\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}";

static void push(int fd, const char *data, size_t length)
{
    while (send(fd, data, length, MSG_NOSIGNAL) < 0 && errno == EAGAIN)
        poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
}

static size_t frame(char *out, const char *payload, size_t length)
{
    out[0] = (char)0x81;
    if (length < 126) {
        out[1] = (char)length;
        memcpy(out + 2, payload, length);
        return 2 + length;
    }
    out[1] = 126;
    out[2] = (char)(length >> 8);
    out[3] = (char)length;
    memcpy(out + 4, payload, length);
    return 4 + length;
}

static void push_packet(int fd, const char *packet, size_t length)
{
    char out[FRAME];
    push(fd, out, frame(out, packet, length));
}

static void leave(int fd)
{
    if (position[fd]) {
        int last = clients[--count];
        clients[position[fd] - 1] = last;
        position[last] = position[fd];
        position[fd] = 0;
    }
    close(fd);
}

static void join(int fd)
{
    static const char joined[] = "40{\"sid\":\"x\"}";
    clients[count++] = fd;
    position[fd] = count;
    push_packet(fd, joined, sizeof joined - 1);
}

static void broadcast(const char *text, size_t length, int times)
{
    char packet[FRAME], out[FRAME];
    while (times--) {
        int size = snprintf(packet, sizeof packet, "42[\"said\",%.*s]", (int)length, text);
        size_t framed = frame(out, packet, (size_t)size);
        for (int i = 0; i < count; i++)
            push(clients[i], out, framed);
    }
}

static void acknowledge(int fd, const char *packet, size_t length)
{
    char answer[FRAME];
    size_t digits = strspn(packet + 2, "0123456789");
    const char *text = packet + 2 + digits + 8; /* after ["echo", */
    int size = snprintf(answer, sizeof answer, "43%.*s[%.*s", (int)digits, packet + 2,
                        (int)(length - (size_t)(text - packet)), text);
    push_packet(fd, answer, (size_t)size);
}

/* `packet` ends in a zero that is not part of it. */
static void take_packet(int fd, const char *packet, size_t length)
{
    if (!strncmp(packet, "40", 2))
        join(fd);
    else if (!strncmp(packet, "42[\"say\",", 9))
        broadcast(packet + 9, length - 10, 1);
    else if (!strncmp(packet, "42[\"burst\",", 11)) {
        const char *times = strrchr(packet, ',');
        broadcast(packet + 11, (size_t)(times - packet) - 11, atoi(times + 1));
    } else if (packet[0] == '4')
        acknowledge(fd, packet, length);
}

static void take_frames(int fd, unsigned char *data, size_t length)
{
    char packet[FRAME];
    while (length > 6) {
        size_t header = (data[1] & 127) == 126 ? 4 : 2;
        size_t size = header == 2 ? data[1] & 127u : (size_t)data[2] << 8 | data[3];
        unsigned char *mask = data + header, *payload = mask + 4;
        for (size_t i = 0; i < size; i++)
            packet[i] = (char)(payload[i] ^ mask[i & 3]);
        packet[size] = 0;
        if (data[0] == 0x88) {
            push(fd, "\x88\x02\x03\xe9", 4);
            leave(fd);
            return;
        }
        take_packet(fd, packet, size);
        length -= (size_t)(payload + size - data);
        data = payload + size;
    }
}

static void readable(int fd)
{
    unsigned char data[65536];
    ssize_t length = recv(fd, data, sizeof data, 0);
    if (length <= 0 && !(length < 0 && errno == EAGAIN)) {
        leave(fd);
    } else if (length > 3 && !memcmp(data, "GET", 3)) {
        push(fd, OPENED, sizeof OPENED - 1);
        push_packet(fd, SESSION, sizeof SESSION - 1);
    } else if (length > 0) {
        take_frames(fd, data, (size_t)length);
    }
}

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 1024) ||
        getsockname(fd, (struct sockaddr *)&address, &size))
        give_up("listen");
    printf("listening on http://127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void welcome(int epoll, int listener)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 || fd >= CLIENTS)
        give_up("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

int main(void)
{
    struct epoll_event events[512];
    int listener = listen_anywhere(), epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++)
            if (events[i].data.fd == listener)
                welcome(epoll, listener);
            else
                readable(events[i].data.fd);
    }
}
