/* The load generator: many clients in one process. It reads commands from stdin, one a line, and
   answers each with one line of JSON on stdout. Commands:

     open COUNT AT_ONCE websocket|upgrade   connect clients, AT_ONCE at the same time
     close COUNT AT_ONCE                    disconnect random clients
     broadcast SECONDS say|burst|crowd N    send broadcasts to all clients, round after round; in a
                                            round one client sends one, or asks for N, or N
                                            clients send one each
     events SECONDS N                       every client sends N events, and another for each ack
     paced SECONDS RATE                     send RATE events a second in all, without waiting for
                                            acks
     port NUMBER                            connect further clients to this port
     speakers COUNT                         only the first COUNT clients send events
     told SECONDS RATE                      the first client sends RATE broadcasts a second, and
                                            the clients that never send measure the latency
     wait SECONDS                           only answer pings

   Start: load PORT DEFLATE(0|1) SPIN(0|1) SILENCE_SECONDS ORIGIN [COOKIE_FILE] */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* As long as a typical chat message; its first eight characters are the number of the round. */
static const char PAYLOAD[] = "%08u it takes about this many words to say something";

static double silence; /* seconds without any message after which we stop waiting */

/* Whether to poll instead of sleeping while waiting. Waking up a sleeping load generator would cost
   the server CPU time, unlike a client on another machine. */
static bool spin;

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double monotonic(void)
{
    return now(CLOCK_MONOTONIC);
}

/* Runs turns until `counter` reaches `goal`; false if nothing moves for `silence` seconds. */
static bool reach(const size_t *counter, size_t goal)
{
    size_t before = *counter;
    double deadline = monotonic() + silence;
    while (*counter < goal && !dropped_count) {
        clients_turn(spin ? 0 : 50);
        if (*counter != before) {
            before = *counter;
            deadline = monotonic() + silence;
        } else if (monotonic() > deadline) {
            return false;
        }
    }
    return *counter >= goal;
}

/* ---- replies ----------------------------------------------------------------------------- */

static double command_started, command_cpu;

__attribute__((format(printf, 1, 2))) static void reply(const char *format, ...)
{
    va_list arguments;
    printf("{\"seconds\": %.6f, \"load_cpu\": %.6f, \"clients\": %zu, \"failed\": %zu, "
           "\"dropped\": %zu",
           monotonic() - command_started, now(CLOCK_PROCESS_CPUTIME_ID) - command_cpu, ready_count,
           failed_count, dropped_count);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    puts("}");
    fflush(stdout);
}

static struct client *random_client(void)
{
    return ready[(size_t)random() % ready_count];
}

/* ---- connecting and leaving -------------------------------------------------------------- */

static void open_clients(size_t count, size_t at_once, enum mode mode)
{
    double deadline = monotonic() + silence;
    for (size_t started = 0; (started < count || opening_count) && monotonic() < deadline;) {
        size_t before = opening_count;
        for (; started < count && opening_count < at_once; started++)
            client_open(mode);
        clients_turn(spin ? 0 : 100);
        if (opening_count != before)
            deadline = monotonic() + silence;
    }
    reply(", \"opening\": %zu", opening_count);
}

static void close_clients(size_t count, size_t at_once)
{
    double deadline = monotonic() + silence;
    for (size_t started = 0; (started < count || closing_count) && monotonic() < deadline;) {
        size_t before = closing_count;
        for (; started < count && ready_count && closing_count < at_once; started++)
            client_close(random_client());
        clients_turn(spin ? 0 : 100);
        if (closing_count != before)
            deadline = monotonic() + silence;
    }
    reply(", \"closing\": %zu", closing_count);
}

/* ---- broadcasts -------------------------------------------------------------------------- */

static unsigned round_number;
static size_t delivered, strays;
static size_t speakers; /* zero: all clients */

/* Returns the number of the round in which this was sent, or 0. */
static unsigned number_of(const char *packet, size_t length)
{
    static const char expected[] = "42[\"said\",\"";
    static const size_t prefix = sizeof expected - 1;
    if (length <= prefix + 8 || memcmp(packet, expected, prefix))
        return 0;
    return (unsigned)strtoul(packet + prefix, NULL, 10);
}

static void count_delivery(struct client *client, const char *packet, size_t length)
{
    (void)client;
    if (number_of(packet, length) == round_number)
        delivered++;
    else
        strays++; /* late, duplicated, or never sent */
}

static void speak(struct client *client, unsigned times)
{
    char packet[256], text[128];
    snprintf(text, sizeof text, PAYLOAD, round_number);
    int length = times ? snprintf(packet, sizeof packet, "42[\"burst\",\"%s\",%u]", text, times)
                       : snprintf(packet, sizeof packet, "42[\"say\",\"%s\"]", text);
    client_send(client, packet, (size_t)length);
}

/* Clients take turns, so that none exceeds the rate limit of a guarded host. */
static struct client *next_speaker(void)
{
    static size_t turn;
    return ready[turn++ % (speakers && speakers < ready_count ? speakers : ready_count)];
}

static void broadcast(double seconds, const char *form, unsigned times)
{
    bool crowd = !strcmp(form, "crowd"), burst = !strcmp(form, "burst");
    size_t per_round = ready_count * (crowd || burst ? times : 1), lost = 0;
    unsigned rounds = 0;
    on_packet = count_delivery;
    delivered = strays = 0;
    double deadline = monotonic() + seconds;
    while (monotonic() < deadline && !lost && !dropped_count) {
        size_t goal = delivered + per_round;
        round_number++;
        rounds++;
        for (unsigned speakers = crowd ? times : 1; speakers; speakers--)
            speak(next_speaker(), burst ? times : 0);
        if (!reach(&delivered, goal))
            lost += goal - delivered;
        if (delivered > goal) {
            strays += delivered - goal; /* duplicated, and arrived before the goal was noticed */
            delivered = goal;
        }
    }
    reply(", \"rounds\": %u, \"deliveries\": %zu, \"lost\": %zu, \"strays\": %zu", rounds,
          delivered, lost, strays);
}

/* ---- events with ack --------------------------------------------------------------------- */

static size_t asked, acked;
static double repeat_until; /* zero: do not repeat */
static double *sent_at;     /* by ack id: when the event was sent; the seconds it took, once acked */
static size_t sent_count;

static void send_event(struct client *client, size_t id)
{
    char packet[256], text[128];
    snprintf(text, sizeof text, PAYLOAD, (unsigned)id);
    int length = snprintf(packet, sizeof packet, "42%zu[\"echo\",\"%s\"]", id, text);
    client_send(client, packet, (size_t)length);
    asked++;
}

static void take_ack(struct client *client, const char *packet, size_t length)
{
    char *end;
    size_t id = strtoul(packet + 2, &end, 10);
    (void)length;
    if (packet[1] != '3' || *end != '[' || strtoul(end + 2, NULL, 10) != id) {
        strays++;
        return;
    }
    acked++;
    if (id < sent_count)
        sent_at[id] = monotonic() - sent_at[id];
    if (monotonic() < repeat_until)
        send_event(client, id);
}

static void events(double seconds, unsigned at_once)
{
    on_packet = take_ack;
    asked = acked = strays = sent_count = 0;
    repeat_until = monotonic() + seconds;
    for (size_t i = 0; i < ready_count * at_once; i++)
        send_event(ready[i % ready_count], i);
    while (monotonic() < repeat_until && !dropped_count)
        clients_turn(spin ? 0 : 1);
    reach(&acked, asked);
    reply(", \"acks\": %zu, \"lost\": %zu, \"strays\": %zu", acked, asked - acked, strays);
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double percentile(double *sorted, size_t count, double share)
{
    return count ? sorted[(size_t)((double)(count - 1) * share)] * 1e6 : 0;
}

/* Latency counts from when the event was due, so that a stalled server cannot hide its stall by
   delaying the events behind it. */
static void paced(double seconds, double rate)
{
    size_t total = (size_t)(seconds * rate);
    on_packet = take_ack;
    asked = acked = strays = 0;
    repeat_until = 0;
    sent_at = calloc(total, sizeof *sent_at);
    if (!sent_at)
        give_up("memory");
    double start = monotonic();
    for (sent_count = 0; sent_count < total && !dropped_count;) {
        double due = start + (double)sent_count / rate;
        if (monotonic() >= due) {
            sent_at[sent_count] = due;
            send_event(next_speaker(), sent_count++);
        }
        clients_turn(0); /* never sleeps, so that no event is late because of the load generator */
    }
    bool complete = reach(&acked, total);
    if (complete)
        qsort(sent_at, total, sizeof *sent_at, by_size);
    size_t measured = complete ? total : 0;
    reply(", \"acks\": %zu, \"lost\": %zu, \"strays\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f",
          acked, total - acked, strays, percentile(sent_at, measured, .5),
          percentile(sent_at, measured, .99));
    free(sent_at);
    sent_count = 0;
}

/* ---- broadcasts at a fixed rate ---------------------------------------------------------- */

static double *due;  /* when each round was due */
static double *took; /* latency of each delivery */
static size_t took_count;

static void take_told(struct client *client, const char *packet, size_t length)
{
    if (number_of(packet, length) != client->last + 1) {
        strays++; /* duplicated, out of order, or after one that was lost */
        return;
    }
    client->last++;
    delivered++;
    if (client->position >= speakers)
        took[took_count++] = monotonic() - due[client->last];
}

static void told(double seconds, double rate)
{
    unsigned rounds = (unsigned)(seconds * rate);
    size_t goal = rounds * ready_count;
    on_packet = take_told;
    delivered = strays = took_count = 0;
    round_number = 0;
    for (size_t i = 0; i < ready_count; i++)
        ready[i]->last = 0;
    due = calloc(rounds + 1, sizeof *due);
    took = calloc(goal + 1, sizeof *took);
    if (!due || !took)
        give_up("memory");
    double start = monotonic();
    while (round_number < rounds && !dropped_count) {
        double next = start + round_number / rate;
        if (monotonic() >= next) {
            due[++round_number] = next;
            speak(ready[0], 0);
        }
        clients_turn(0);
    }
    reach(&delivered, goal);
    qsort(took, took_count, sizeof *took, by_size);
    reply(", \"rounds\": %u, \"deliveries\": %zu, \"lost\": %zu, \"strays\": %zu, "
          "\"p50_us\": %.1f, \"p99_us\": %.1f",
          rounds, delivered, goal - delivered, strays, percentile(took, took_count, .5),
          percentile(took, took_count, .99));
    free(due);
    free(took);
    on_packet = count_delivery; /* later deliveries have no place in `took` */
}

/* ---- commands ---------------------------------------------------------------------------- */

static void idle(double seconds)
{
    double deadline = monotonic() + seconds;
    while (monotonic() < deadline)
        clients_turn(10);
    reply(", \"strays\": %zu", strays);
}

static void go_to(uint16_t port)
{
    target.port = port;
    reply("%s", "");
}

static void limit_speakers(size_t count)
{
    speakers = count;
    reply("%s", "");
}

static void obey(const char *line)
{
    double seconds, rate;
    size_t count, at_once;
    unsigned times;
    char word[16];
    command_started = monotonic();
    command_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    if (sscanf(line, "open %zu %zu %15s", &count, &at_once, word) == 3)
        open_clients(count, at_once, strcmp(word, "upgrade") ? BY_WEBSOCKET : BY_UPGRADE);
    else if (sscanf(line, "close %zu %zu", &count, &at_once) == 2)
        close_clients(count, at_once);
    else if (sscanf(line, "broadcast %lf %15s %u", &seconds, word, &times) == 3)
        broadcast(seconds, word, times);
    else if (sscanf(line, "events %lf %u", &seconds, &times) == 2)
        events(seconds, times);
    else if (sscanf(line, "paced %lf %lf", &seconds, &rate) == 2)
        paced(seconds, rate);
    else if (sscanf(line, "told %lf %lf", &seconds, &rate) == 2)
        told(seconds, rate);
    else if (sscanf(line, "port %zu", &count) == 1)
        go_to((uint16_t)count);
    else if (sscanf(line, "speakers %zu", &count) == 1)
        limit_speakers(count);
    else if (sscanf(line, "wait %lf", &seconds) == 1)
        idle(seconds);
    else
        reply(", \"error\": \"unknown command\"");
}

static void ignore(struct client *client, const char *packet, size_t length)
{
    (void)client, (void)packet, (void)length;
    strays++;
}

static void read_cookies(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL, *header;
    size_t size = 0;
    if (!file)
        give_up(path);
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        if (asprintf(&header, "Cookie: %s\r\n", line) < 0)
            give_up("memory");
        target.cookies = realloc(target.cookies, (target.cookie_count + 1) * sizeof header);
        if (!target.cookies)
            give_up("memory");
        target.cookies[target.cookie_count++] = header;
    }
    free(line);
    fclose(file);
}

int main(int count, char **arguments)
{
    char line[256];
    if (count < 6)
        give_up("usage: load PORT DEFLATE SPIN SILENCE ORIGIN [COOKIE_FILE]");
    target.port = (uint16_t)atoi(arguments[1]);
    target.offer_deflate = atoi(arguments[2]);
    spin = atoi(arguments[3]);
    silence = atof(arguments[4]);
    target.origin = arguments[5];
    if (count > 6)
        read_cookies(arguments[6]);
    on_packet = ignore;
    clients_start(STDIN_FILENO);
    /* The driver sends a line only after the reply to the last, so stdio buffers none. */
    for (;;) {
        if (!clients_turn(1000))
            continue;
        if (!fgets(line, sizeof line, stdin))
            return 0;
        obey(line);
    }
}
