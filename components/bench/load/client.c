/* Subscribers: they join, subscribe, and count what they get while touching as little of it as possible. */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { WELCOME = 2, ABORT = 3, CHALLENGE = 4, GOODBYE = 6, ERROR = 8, SUBSCRIBED = 33 };

Client *clients;
int client_count;
Tally tally;

void clients_make(int count) {
    clients = calloc((size_t)count, sizeof *clients);
    if (!clients) fail("out of memory");
    client_count = count;
    for (int i = 0; i < count; i++) {
        clients[i].connection.kind = KIND_CLIENT;
        clients[i].connection.fd = -1;
        clients[i].account = &setup.accounts[i];
    }
}

static void lose(Client *client, const char *why, const void *detail, size_t bytes) {
    static const char *const doing[] = {"closed", "connecting", "joining", "joined", "subscribing", "ready", "lost"};
    if (client->state == CLIENT_LOST || client->state == CLIENT_CLOSED) return;
    if (!tally.lost++)
        snprintf(tally.first_loss, sizeof tally.first_loss, "while %s: %s%s%.*s", doing[client->state], why,
                 bytes ? ": " : "", (int)(bytes < 120 ? bytes : 120), (const char *)detail);
    if (client->state == CLIENT_UPGRADING || client->state == CLIENT_JOINING || client->state == CLIENT_SUBSCRIBING)
        tally.in_progress--;
    client->state = CLIENT_LOST;
    connection_close(&client->connection);
}

static void flush(Client *client) {
    if (!connection_flush(&client->connection)) lose(client, "connection lost", "", 0);
}

void client_start(Client *client, bool subscribe_at_once) {
    Connection *connection = &client->connection;
    client->state = CLIENT_UPGRADING;
    client->subscribe_at_once = subscribe_at_once;
    client->subscribed = 0;
    client->frame_left = client->stash_bytes = 0;
    tally.in_progress++;
    connection_open_tcp(connection, setup.host, setup.port);
    char path[16384];
    if (setup.protocol == PROTOCOL_PLAIN)
        snprintf(path, sizeof path, "%s%stoken=%s", setup.path, strchr(setup.path, '?') ? "&" : "?",
                 client->account->ticket);
    else
        snprintf(path, sizeof path, "%s", setup.path);
    websocket_request(connection, setup.host, setup.port, path, setup.protocol == PROTOCOL_WAMP ? "wamp.2.json" : NULL);
    flush(client);
}

static void send_text(Client *client, const char *text) {
    websocket_send(&client->connection, setup.protocol == PROTOCOL_NATS ? OPCODE_BINARY : OPCODE_TEXT, text,
                   strlen(text));
}

static void hello(Client *client) {
    char text[16384];
    if (setup.protocol == PROTOCOL_WAMP)
        snprintf(text, sizeof text,
                 "[1,\"%s\",{\"roles\":{\"subscriber\":{}},\"authmethods\":[\"ticket\"],\"authid\":\"%s\"}]",
                 setup.realm, client->account->authid);
    else
        snprintf(text, sizeof text, "CONNECT {\"verbose\":false,\"pedantic\":false,\"auth_token\":\"%s\"}\r\nPING\r\n",
                 client->account->ticket);
    client->state = CLIENT_JOINING;
    send_text(client, text);
}

/* One request for all symbols. */
static void subscribe_plainly(Client *client) {
    size_t room = 64;
    for (int i = 0; i < client->account->topic_count; i++)
        room += strlen(setup.topics[client->account->topics[i]].symbol) + 3;
    char *text = malloc(room), *at = text;
    if (!text) fail("out of memory");
    at = stpcpy(at, "{\"type\":\"subscribe\",\"symbols\":[");
    for (int i = 0; i < client->account->topic_count; i++)
        at += sprintf(at, "%s\"%s\"", i ? "," : "", setup.topics[client->account->topics[i]].symbol);
    stpcpy(at, "]}");
    send_text(client, text);
    free(text);
}

void client_subscribe(Client *client) {
    char text[512];
    client->state = CLIENT_SUBSCRIBING;
    tally.in_progress++;
    if (setup.protocol == PROTOCOL_PLAIN) {
        subscribe_plainly(client);
        flush(client);
        return;
    }
    for (int i = 0; i < client->account->topic_count; i++) {
        const char *topic = setup.topics[client->account->topics[i]].name;
        if (setup.protocol == PROTOCOL_WAMP)
            snprintf(text, sizeof text, "[32,%d,{},\"%s\"]", i + 1, topic);
        else
            snprintf(text, sizeof text, "SUB %s %d\r\n", topic, i + 1);
        send_text(client, text);
    }
    if (setup.protocol == PROTOCOL_NATS) send_text(client, "PING\r\n");
    flush(client);
}

static void joined(Client *client) {
    client->state = CLIENT_JOINED;
    tally.joined++;
    tally.in_progress--;
    if (client->subscribe_at_once) client_subscribe(client);
}

static void subscribed(Client *client) {
    client->state = CLIENT_READY;
    tally.ready++;
    tally.in_progress--;
}

static void take_event(Client *client, const uint8_t *data, size_t bytes, uint64_t read_us) {
    Reading reading;
    bool with_ts = tally.measuring && !(client->received & tally.sample_mask);
    if (!payload_read(data, bytes, with_ts, &reading)) {
        tally.unreadable++;
        return;
    }
    if (setup.protocol == PROTOCOL_WAMP) details_read(data, bytes, &reading);
    client->received++;
    tally.received++;
    client->seq_sum += reading.seq;
    if (reading.merged > 1 || reading.dropped) {
        client->merged += reading.merged - 1;
        tally.merged += reading.merged - 1;
        client->dropped += reading.dropped;
        tally.dropped += reading.dropped;
    }
    if (with_ts && reading.ts_us >= tally.measured_us)
        latency_add(read_us > reading.ts_us ? read_us - reading.ts_us : 0);
}

static void take_wamp(Client *client, const uint8_t *data, size_t bytes, uint64_t read_us) {
    if (bytes > 4 && !memcmp(data, "[36,", 4)) {
        take_event(client, data, bytes, read_us);
        return;
    }
    char text[16384];
    switch (bytes > 1 ? atoi((const char *)data + 1) : 0) {
    case CHALLENGE:
        snprintf(text, sizeof text, "[5,\"%s\",{}]", client->account->ticket);
        send_text(client, text);
        break;
    case WELCOME:
        joined(client);
        break;
    case ERROR:
        tally.refused++;
        if (tally.refused == 1)
            snprintf(tally.first_loss, sizeof tally.first_loss, "refused: %.*s", (int)(bytes < 160 ? bytes : 160), data);
        /* fall through */
    case SUBSCRIBED:
        if (++client->subscribed == client->account->topic_count) subscribed(client);
        break;
    case ABORT:
    case GOODBYE:
        lose(client, "turned away", data, bytes);
        break;
    default:
        break;
    }
}

static bool begins(const uint8_t *data, size_t bytes, const char *with) {
    return bytes >= strlen(with) && !memcmp(data, with, strlen(with));
}

/* An event, or an object with a type, which is its first key. */
static void take_object(Client *client, const uint8_t *data, size_t bytes, uint64_t read_us) {
    if (!begins(data, bytes, "{\"type\":\"")) {
        take_event(client, data, bytes, read_us);
        return;
    }
    data += 9;
    bytes -= 9;
    bool refused = begins(data, bytes, "error\"");
    if (refused && !tally.refused++)
        snprintf(tally.first_loss, sizeof tally.first_loss, "refused: %.*s", (int)(bytes < 160 ? bytes : 160), data);
    if (begins(data, bytes, "closing\""))
        lose(client, "turned away", data, bytes);
    else if (client->state == CLIENT_SUBSCRIBING && (refused || begins(data, bytes, "subscribed\"")))
        subscribed(client);
}

/* One object, or an array of them. An object of an array has no objects within, nor a brace in a text. */
static void take_plain(Client *client, const uint8_t *data, size_t bytes, uint64_t read_us) {
    if (!bytes || *data != '[') {
        take_object(client, data, bytes, read_us);
        return;
    }
    const uint8_t *at = data + 1, *end = data + bytes;
    while (at < end && client->state != CLIENT_LOST) {
        const uint8_t *brace = memchr(at, '}', (size_t)(end - at));
        if (!brace) {
            tally.unreadable++;
            return;
        }
        take_object(client, at, (size_t)(brace + 1 - at), read_us);
        at = brace + 2; /* past the comma, or the bracket */
    }
}

/* Bytes of the first whole protocol message in data, which is dealt with; 0: incomplete. */
static size_t take_nats(Client *client, const uint8_t *data, size_t bytes, uint64_t read_us) {
    const uint8_t *line_end = memchr(data, '\n', bytes < STASH_BYTES / 2 ? bytes : STASH_BYTES / 2);
    if (!line_end) return 0;
    size_t line = (size_t)(line_end + 1 - data);
    if (line > 4 && !memcmp(data, "MSG ", 4)) {
        size_t size = 0, unit = 1;
        for (const uint8_t *at = line_end - 2; *at != ' '; at--, unit *= 10) size += (size_t)(*at - '0') * unit;
        if (bytes < line + size + 2) return 0;
        take_event(client, data + line, size, read_us);
        return line + size + 2;
    }
    if (!memcmp(data, "INFO", 4)) {
        if (client->state == CLIENT_UPGRADING) hello(client);
    } else if (!memcmp(data, "PING", 4)) {
        send_text(client, "PONG\r\n");
    } else if (!memcmp(data, "PONG", 4)) {
        if (client->state == CLIENT_JOINING)
            joined(client);
        else if (client->state == CLIENT_SUBSCRIBING)
            subscribed(client);
    } else if (!memcmp(data, "-ERR", 4)) {
        lose(client, "error", data, line - 2);
    }
    return line;
}

/* A part of the NATS byte stream, which frames cut anywhere. */
static void take_nats_part(Client *client, const uint8_t *data, size_t bytes, uint64_t read_us) {
    while (bytes && client->state != CLIENT_LOST) {
        if (client->stash_bytes) {
            size_t before = client->stash_bytes, more = STASH_BYTES - before < bytes ? STASH_BYTES - before : bytes;
            memcpy(client->stash + before, data, more);
            size_t whole = take_nats(client, client->stash, before + more, read_us);
            if (!whole) {
                if (before + more == STASH_BYTES) fail("a NATS message is longer than %d bytes", STASH_BYTES);
                client->stash_bytes = before + more;
                return;
            }
            client->stash_bytes = 0;
            data += whole - before;
            bytes -= whole - before;
            continue;
        }
        size_t whole = take_nats(client, data, bytes, read_us);
        if (!whole) {
            if (bytes >= STASH_BYTES) fail("a NATS message is longer than %d bytes", STASH_BYTES);
            if (!client->stash && !(client->stash = malloc(STASH_BYTES))) fail("out of memory");
            memcpy(client->stash, data, bytes);
            client->stash_bytes = bytes;
            return;
        }
        data += whole;
        bytes -= whole;
    }
}

static void take_frame(Client *client, const Frame *frame, uint64_t read_us) {
    size_t bytes = (size_t)frame->size;
    if (frame->opcode == OPCODE_PING) {
        websocket_send(&client->connection, OPCODE_PONG, frame->payload, bytes);
    } else if (frame->opcode == OPCODE_CLOSE) {
        size_t text = bytes > 2 ? bytes - 2 : 0;
        lose(client, "closed by the server", frame->payload + 2, text);
    } else if (frame->opcode == OPCODE_PONG) {
        return;
    } else if (setup.protocol == PROTOCOL_PLAIN) {
        take_plain(client, frame->payload, bytes, read_us);
    } else {
        take_wamp(client, frame->payload, bytes, read_us);
    }
}

/* Take what read_buffer holds; returns the bytes that were dealt with. */
static size_t take_bytes(Client *client, size_t bytes, uint64_t read_us) {
    size_t at = 0;
    if (client->state == CLIENT_UPGRADING && !client->frame_left && !client->stash_bytes) {
        if (bytes < 5 || !memcmp(read_buffer, "HTTP/", 5)) {
            ssize_t answer = websocket_answer(read_buffer, bytes);
            if (answer < 0) lose(client, "no WebSocket", read_buffer, bytes);
            if (answer <= 0) return 0;
            at = (size_t)answer;
            if (setup.protocol == PROTOCOL_WAMP) hello(client); /* NATS speaks first */
            if (setup.protocol == PROTOCOL_PLAIN) joined(client);
        }
    }
    while (at < bytes && client->state != CLIENT_LOST) {
        if (client->frame_left) {
            size_t part = bytes - at < client->frame_left ? bytes - at : (size_t)client->frame_left;
            client->frame_left -= part;
            take_nats_part(client, read_buffer + at, part, read_us);
            at += part;
            continue;
        }
        Frame frame = websocket_frame(read_buffer + at, bytes - at);
        if (!frame.header) break;
        if (setup.protocol == PROTOCOL_NATS && frame.opcode < OPCODE_CLOSE) {
            /* Its frames may be longer than any buffer. */
            client->frame_left = frame.size;
            at += frame.header;
            continue;
        }
        if (bytes - at < frame.header + frame.size) break;
        take_frame(client, &frame, read_us);
        at += frame.header + (size_t)frame.size;
    }
    return at;
}

void client_event(Client *client, uint32_t events) {
    if (client->state == CLIENT_LOST || client->state == CLIENT_CLOSED) return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        size_t kept = client->connection.in_bytes;
        ssize_t bytes = connection_read(&client->connection);
        if (bytes > 0) tally.bytes += (size_t)bytes - kept;
        if (bytes < 0) {
            lose(client, "connection lost", "", 0);
            return;
        }
        if (bytes > 0) {
            size_t taken = take_bytes(client, (size_t)bytes, now_us());
            if (client->state == CLIENT_LOST) return;
            if (taken < (size_t)bytes) connection_keep(&client->connection, read_buffer + taken, (size_t)bytes - taken);
        }
    }
    if (client->connection.out_bytes) flush(client);
}

void clients_close(void) {
    for (int i = 0; i < client_count; i++) {
        if (clients[i].state != CLIENT_CLOSED) connection_close(&clients[i].connection);
        clients[i].state = CLIENT_CLOSED;
    }
    tally.joined = tally.ready = tally.in_progress = 0;
}
