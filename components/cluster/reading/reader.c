/* Sockets and WebSocket frames of many clients, and which ticks go on where their symbol was. */
#include "reading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_FRAME = 0x81, CLOSE_FRAME = 0x88, PONG_FRAME = 0x8a, MAX_CONTROL_BYTES = 125, NO_CLIENT = -1 };

typedef struct {
    int fd;            /* -1: none */
    uint64_t in_frame; /* payload bytes of the current frame still to come */
    uint8_t *kept;     /* the beginning of what is not complete yet */
    size_t kept_bytes, capacity;
} Connection;

struct Reader {
    int epoll, clients, found, next_found;
    bool swept; /* whether what had come has been found since the last answer of false */
    Symbols *symbols;
    Client *states;
    Place *places;
    Connection *connections;
    struct epoll_event *events;
    int current; /* whose bytes buffer holds */
    uint8_t *buffer, *at, *end;
    double now_s;
    Tick ticks[MAX_TICKS];
    int tick_count;
};

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

Reader *reader_new(const char *names, int clients) {
    Reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->clients = clients;
    reader->current = NO_CLIENT;
    reader->epoll = epoll_create1(EPOLL_CLOEXEC);
    reader->symbols = symbols_new(names);
    size_t count = (size_t)clients;
    reader->states = calloc(count, sizeof *reader->states);
    reader->connections = calloc(count, sizeof *reader->connections);
    reader->events = calloc(count, sizeof *reader->events);
    reader->buffer = malloc(MAX_MESSAGE_BYTES + READ_BYTES);
    if (reader->symbols) reader->places = calloc(count * (size_t)symbols_count(reader->symbols), sizeof *reader->places);
    if (reader->epoll < 0 || !reader->places || !reader->states || !reader->connections || !reader->events || !reader->buffer) {
        int why = errno;
        reader_free(reader);
        errno = why;
        return NULL;
    }
    for (int i = 0; i < clients; i++) reader->connections[i].fd = -1;
    return reader;
}

void reader_free(Reader *reader) {
    if (!reader) return;
    if (reader->epoll >= 0) close(reader->epoll);
    for (int i = 0; reader->connections && i < reader->clients; i++) free(reader->connections[i].kept);
    symbols_free(reader->symbols);
    free(reader->states);
    free(reader->connections);
    free(reader->events);
    free(reader->places);
    free(reader->buffer);
    free(reader);
}

Client *reader_client(Reader *reader, int client) { return &reader->states[client]; }

Place *reader_places(Reader *reader, int client) {
    return reader->places + (size_t)client * (size_t)symbols_count(reader->symbols);
}

int reader_watch(Reader *reader, int client, int fd) {
    Connection *connection = &reader->connections[client];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)client};
    if (epoll_ctl(reader->epoll, EPOLL_CTL_ADD, fd, &event)) return errno;
    connection->fd = fd;
    connection->in_frame = connection->kept_bytes = 0;
    reader->states[client].heard_s = now_s();
    reader->states[client].live_since_s = 0;
    return 0;
}

void reader_forget(Reader *reader, int client) {
    Connection *connection = &reader->connections[client];
    if (connection->fd >= 0) epoll_ctl(reader->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->fd = -1;
    connection->in_frame = connection->kept_bytes = 0;
    if (reader->current == client) {
        reader->current = NO_CLIENT;
        reader->tick_count = 0;
    }
}

static bool hand(Reader *reader, Handed *handed, Kind kind, int opcode, const void *data, size_t size) {
    *handed = (Handed){.kind = kind, .client = reader->current, .opcode = opcode, .data = data, .size = (int64_t)size};
    return true;
}

static bool hand_ticks(Reader *reader, Handed *handed) {
    size_t count = (size_t)reader->tick_count;
    reader->tick_count = 0;
    return hand(reader, handed, HANDED_TICKS, 0, reader->ticks, count);
}

static bool hand_end(Reader *reader, Handed *handed, int error) {
    hand(reader, handed, HANDED_END, 0, NULL, 0);
    handed->error = error;
    reader_forget(reader, reader->current);
    return true;
}

static void take_tick(Reader *reader, const Tick *tick) {
    Client *client = &reader->states[reader->current];
    Place *place = &reader_places(reader, reader->current)[tick->symbol];
    if (reader->now_s > client->ticked_s) {
        if (reader->now_s - client->ticked_s > client->longest_silence_s)
            client->longest_silence_s = reader->now_s - client->ticked_s;
        client->ticked_s = reader->now_s;
    }
    if (!client->live_since_s) {
        client->live_since_s = reader->now_s;
        client->connections++;
    }
    if (place->seq && (tick->first > place->seq + 1 || tick->last <= place->seq)) place->held = true;
    if (place->held) {
        reader->ticks[reader->tick_count++] = *tick;
        return;
    }
    if (place->id && tick->first_id > place->id + 1) client->lost += tick->first_id - place->id - 1;
    client->ticks += tick->last - (place->seq ? place->seq : tick->first - 1);
    place->id = tick->last_id;
    place->seq = tick->last;
}

/* Bytes of a frame's header at `at`, 0 when it has not come; sets what comes with it. */
static size_t frame_header(const uint8_t *at, size_t bytes, uint64_t *size) {
    if (bytes < 2) return 0;
    size_t more = at[1] == 127 ? 8 : at[1] == 126 ? 2 : 0;
    if (bytes < 2 + more) return 0;
    *size = more ? 0 : at[1];
    for (size_t i = 0; i < more; i++) *size = *size << 8 | at[2 + i];
    return 2 + more;
}

typedef enum { HANDED, TAKEN, INCOMPLETE } Step;

static Step begin_frame(Reader *reader, Connection *connection, Handed *handed) {
    uint64_t size;
    size_t bytes = (size_t)(reader->end - reader->at), header = frame_header(reader->at, bytes, &size);
    if (!header) return INCOMPLETE;
    uint8_t first = reader->at[0];
    if (first == TEXT_FRAME && reader->at[1] < 128) {
        connection->in_frame = size;
        reader->at += header;
        return TAKEN;
    }
    bool control = first >= CLOSE_FRAME && first <= PONG_FRAME && size <= MAX_CONTROL_BYTES;
    if (control && bytes < header + size) return INCOMPLETE;
    if (reader->tick_count) {
        hand_ticks(reader, handed);
    } else if (control) {
        hand(reader, handed, HANDED_CONTROL, first & 0x0f, reader->at + header, size);
        reader->at += header + size;
    } else {
        hand_end(reader, handed, -1);
    }
    return HANDED;
}

static Step take_message(Reader *reader, Connection *connection, Handed *handed) {
    size_t bytes = (size_t)(reader->end - reader->at);
    bool whole = bytes >= connection->in_frame;
    if (whole) bytes = (size_t)connection->in_frame;
    const uint8_t *separator = memchr(reader->at, SEPARATOR, bytes);
    if (!separator && !whole && bytes < MAX_MESSAGE_BYTES) return INCOMPLETE;
    size_t size = separator ? (size_t)(separator - reader->at) : 0;
    Tick tick;
    bool ticks = separator && tick_read(reader->symbols, reader->at, size, &tick);
    if (reader->tick_count == MAX_TICKS || (reader->tick_count && !ticks)) {
        hand_ticks(reader, handed);
        return HANDED;
    }
    if (!separator) {
        hand_end(reader, handed, -1);
        return HANDED;
    }
    if (ticks) take_tick(reader, &tick);
    else hand(reader, handed, HANDED_MESSAGE, 0, reader->at, size);
    reader->at += size + 1;
    connection->in_frame -= size + 1;
    return ticks ? TAKEN : HANDED;
}

/* Keep what is not complete; false: no memory. */
static bool keep(Reader *reader, Connection *connection) {
    size_t bytes = (size_t)(reader->end - reader->at);
    if (bytes > connection->capacity) {
        uint8_t *larger = realloc(connection->kept, 2 * bytes);
        if (!larger) return false;
        connection->kept = larger;
        connection->capacity = 2 * bytes;
    }
    if (bytes) memcpy(connection->kept, reader->at, bytes);
    connection->kept_bytes = bytes;
    return true;
}

/* Read a client's connection behind what was kept of it; 0 when bytes came, else as in Handed. */
static int fill(Reader *reader, Connection *connection) {
    if (connection->kept_bytes) memcpy(reader->buffer, connection->kept, connection->kept_bytes);
    reader->at = reader->buffer;
    reader->end = reader->buffer + connection->kept_bytes;
    ssize_t got = recv(connection->fd, reader->end, READ_BYTES, MSG_DONTWAIT);
    if (got < 0) return errno;
    if (got == 0) return -1;
    reader->end += got;
    connection->kept_bytes = 0;
    return 0;
}

bool reader_next(Reader *reader, Handed *handed) {
    for (;;) {
        while (reader->current != NO_CLIENT) {
            Connection *connection = &reader->connections[reader->current];
            Step step = connection->in_frame ? take_message(reader, connection, handed) : begin_frame(reader, connection, handed);
            if (step == HANDED) return true;
            if (step == TAKEN) continue;
            if (reader->tick_count) return hand_ticks(reader, handed);
            if (!keep(reader, connection)) return hand_end(reader, handed, ENOMEM);
            reader->current = NO_CLIENT;
        }
        if (reader->next_found == reader->found) {
            int found = reader->swept ? 0 : epoll_wait(reader->epoll, reader->events, reader->clients, 0);
            reader->next_found = 0;
            reader->found = found < 0 ? 0 : found;
            reader->swept = reader->found > 0;
            if (!reader->found) return false;
        }
        int client = (int)reader->events[reader->next_found++].data.u32;
        Connection *connection = &reader->connections[client];
        if (connection->fd < 0) continue;
        int error = fill(reader, connection);
        if (error == EAGAIN || error == EINTR) continue;
        reader->current = client;
        if (error) return hand_end(reader, handed, error < 0 ? 0 : error);
        reader->states[client].heard_s = reader->now_s = now_s();
    }
}
