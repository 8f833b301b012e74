/* The source of the events: a feed writing batches to Crosstick's bus or to Redis, a WAMP publisher, or a NATS publisher. */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { WELCOME = 2, ABORT = 3, CHALLENGE = 4, GOODBYE = 6, ERROR = 8, RESULT = 50 };
enum { RAWSOCKET_MAGIC = 0x7f, RAWSOCKET_MAX_16_MB = 15, RAWSOCKET_JSON = 1, RAWSOCKET_MSGPACK = 2 };

PublisherTally publisher;

static Connection connection = {.kind = KIND_PUBLISHER, .fd = -1};
static bool shaken; /* the transport's own handshake is over */
static int calls_in_flight;
static uint64_t request_id, batch_number;
static int next_topic;

static uint8_t batch[256 + MAX_BATCH_EVENTS * (MAX_PAYLOAD_BYTES + 128)]; /* for Redis */

static bool on_bus(void) { return setup.source == SOURCE_BUS || setup.source == SOURCE_REDIS; }
static bool framed_as_rawsocket(void) { return setup.source == SOURCE_BUS || setup.source == SOURCE_RAWSOCKET; }

static uint8_t *pack_hello(uint8_t *to) {
    to = pack_array(to, 3);
    *to++ = 1;
    to = pack_text(to, setup.realm);
    to = pack_map(to, 3);
    to = pack_text(to, "roles");
    to = pack_map(to, 1);
    to = pack_text(to, "caller");
    to = pack_map(to, 0);
    to = pack_text(to, "authmethods");
    to = pack_array(to, 1);
    to = pack_text(to, "ticket");
    to = pack_text(to, "authid");
    return pack_text(to, setup.source_authid);
}

/* Up to where the one argument goes, which is of type bin. */
static uint8_t *pack_call(uint8_t *to, const char *procedure) {
    to = pack_array(to, 5);
    *to++ = 48;
    to = pack_uint(to, ++request_id);
    to = pack_map(to, 0);
    to = pack_text(to, procedure);
    return pack_array(to, 1);
}

/* Messages in the framing of the transport. */

static void rawsocket_length(uint8_t *to, size_t bytes) {
    to[0] = 0;
    to[1] = (uint8_t)(bytes >> 16);
    to[2] = (uint8_t)(bytes >> 8);
    to[3] = (uint8_t)bytes;
}

static void send_message(const void *message, size_t bytes) {
    if (setup.source == SOURCE_WEBSOCKET) {
        websocket_send(&connection, OPCODE_TEXT, message, bytes);
    } else {
        uint8_t header[4];
        rawsocket_length(header, bytes);
        connection_queue(&connection, header, 4);
        connection_queue(&connection, message, bytes);
    }
}

static void flush(void) {
    if (!connection_flush(&connection)) fail("the publisher's connection was lost");
}

void publisher_start(void) {
    if (setup.source_host)
        connection_open_tcp(&connection, setup.source_host, setup.source_port);
    else
        connection_open_unix(&connection, setup.source_path);
    if (setup.source == SOURCE_REDIS) {
        publisher.joined = true;
    } else if (setup.source == SOURCE_WEBSOCKET) {
        websocket_request(&connection, setup.source_host, setup.source_port, setup.source_path, "wamp.2.json");
    } else if (framed_as_rawsocket()) {
        uint8_t serializer = setup.source == SOURCE_BUS ? RAWSOCKET_MSGPACK : RAWSOCKET_JSON;
        uint8_t handshake[4] = {RAWSOCKET_MAGIC, RAWSOCKET_MAX_16_MB << 4 | serializer, 0, 0};
        connection_queue(&connection, handshake, 4);
    } else {
        connection_printf(&connection, "CONNECT {\"verbose\":false,\"pedantic\":false,\"auth_token\":\"%s\"}\r\nPING\r\n",
                          setup.source_ticket);
    }
    flush();
}

static void say_hello(void) {
    char text[4096];
    if (setup.source == SOURCE_BUS) {
        send_message(text, (size_t)(pack_hello((uint8_t *)text) - (uint8_t *)text));
        return;
    }
    int bytes = snprintf(text, sizeof text,
                         "[1,\"%s\",{\"roles\":{\"publisher\":{}},\"authmethods\":[\"ticket\"],\"authid\":\"%s\"}]",
                         setup.realm, setup.source_authid);
    send_message(text, (size_t)bytes);
}

static void answer_challenge(void) {
    char text[16384];
    if (setup.source == SOURCE_BUS) {
        uint8_t *to = pack_array((uint8_t *)text, 3);
        *to++ = 5;
        to = pack_map(pack_text(to, setup.source_ticket), 0);
        send_message(text, (size_t)(to - (uint8_t *)text));
    } else {
        send_message(text, (size_t)snprintf(text, sizeof text, "[5,\"%s\",{}]", setup.source_ticket));
    }
}

static void take_wamp(const uint8_t *data, size_t bytes) {
    /* Both serializers begin with an array of few items, and the message's type is its first. */
    int type = bytes < 2 ? 0 : setup.source == SOURCE_BUS ? data[1] : atoi((const char *)data + 1);
    if (type == RESULT) {
        calls_in_flight--;
    } else if (type == CHALLENGE) {
        answer_challenge();
    } else if (type == WELCOME) {
        publisher.joined = true;
    } else if (type == ABORT || type == GOODBYE || type == ERROR) {
        char text[200];
        size_t shown = 0;
        for (size_t i = 2; i < bytes && shown < sizeof text - 1; i++)
            text[shown++] = data[i] >= 32 && data[i] < 127 ? (char)data[i] : ' ';
        text[shown] = 0;
        fail("the publisher got message %d: %s", type, text);
    }
}

/* Take what read_buffer holds; returns the bytes that were dealt with. */
static size_t take_bytes(size_t bytes) {
    size_t at = 0;
    if (setup.source == SOURCE_REDIS) {
        int answered = 0;
        at = redis_take(read_buffer, bytes, &answered);
        calls_in_flight -= answered;
        return at;
    }
    if (setup.source == SOURCE_NATS) {
        uint8_t *end;
        while ((end = memchr(read_buffer + at, '\n', bytes - at))) {
            const uint8_t *line = read_buffer + at;
            if (!memcmp(line, "PING", 4)) connection_queue(&connection, "PONG\r\n", 6);
            if (!memcmp(line, "PONG", 4)) publisher.joined = true;
            if (!memcmp(line, "-ERR", 4)) fail("the publisher got %.*s", (int)(end - line), line);
            at = (size_t)(end + 1 - read_buffer);
        }
        return at;
    }
    if (!shaken) {
        ssize_t answer = framed_as_rawsocket() ? (bytes >= 4 ? 4 : 0) : websocket_answer(read_buffer, bytes);
        if (answer < 0 || (answer == 4 && framed_as_rawsocket() && !(read_buffer[1] & 0x0f)))
            fail("the publisher's transport was refused");
        if (!answer) return 0;
        shaken = true;
        at = (size_t)answer;
        say_hello();
    }
    while (at < bytes) {
        if (setup.source == SOURCE_WEBSOCKET) {
            Frame frame = websocket_frame(read_buffer + at, bytes - at);
            if (!frame.header || bytes - at < frame.header + frame.size) break;
            if (frame.opcode == OPCODE_PING) websocket_send(&connection, OPCODE_PONG, frame.payload, (size_t)frame.size);
            if (frame.opcode == OPCODE_CLOSE) fail("the server closed the publisher's connection");
            if (frame.opcode < OPCODE_CLOSE) take_wamp(frame.payload, (size_t)frame.size);
            at += frame.header + (size_t)frame.size;
        } else {
            const uint8_t *header = read_buffer + at;
            if (bytes - at < 4) break;
            size_t size = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
            if (bytes - at < 4 + size) break;
            if ((header[0] & 7) == 0) take_wamp(header + 4, size);
            if ((header[0] & 7) == 1) { /* ping: the same bytes back as a pong */
                uint8_t pong[4] = {2, header[1], header[2], header[3]};
                connection_queue(&connection, pong, 4);
                connection_queue(&connection, header + 4, size);
            }
            at += 4 + size;
        }
    }
    return at;
}

void publisher_event(uint32_t events) {
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t bytes = connection_read(&connection);
        if (bytes < 0) fail("the publisher's connection was lost");
        size_t taken = bytes ? take_bytes((size_t)bytes) : 0;
        if (taken < (size_t)bytes) connection_keep(&connection, read_buffer + taken, (size_t)bytes - taken);
    }
    if (connection.out_bytes) flush();
}

bool publisher_may_write(void) {
    return on_bus() ? calls_in_flight < MAX_CALLS_IN_FLIGHT && !connection.out_bytes
                    : connection.out_bytes < MAX_PUBLISHER_QUEUE_BYTES;
}

static uint8_t *call_begin(size_t room, const char *procedure, uint8_t **start) {
    *start = connection_room(&connection, room);
    calls_in_flight++;
    return pack_call(*start + 4, procedure);
}

static void call_end(uint8_t *start, const uint8_t *end) {
    rawsocket_length(start, (size_t)(end - start) - 4);
    connection.out_bytes += (size_t)(end - start);
}

void publisher_tell_status(void) {
    if (!setup.status || !publisher.joined) return;
    if (setup.source == SOURCE_REDIS) {
        calls_in_flight += redis_status(&connection, setup.status);
        flush();
        return;
    }
    uint8_t *start, *to = call_begin(strlen(setup.status) + 256, "crosstick.bus.status", &start);
    call_end(start, pack_bytes(to, 0xc6, setup.status, strlen(setup.status)));
    flush();
}

static Topic *take_topic(void) {
    Topic *topic = &setup.topics[next_topic];
    next_topic = (next_topic + 1) % setup.topic_count;
    publisher.published++;
    publisher.expected += topic->receivers;
    return topic;
}

/* A batch as feeds write it onto the bus, of the next events. */
static uint8_t *pack_batch(uint8_t *to, int events, const uint64_t *ts_us) {
    char payload[MAX_PAYLOAD_BYTES];
    to = pack_array(to, 3);
    to = pack_uint(to, setup.epoch_ms);
    to = pack_uint(to, ++batch_number);
    to = pack_array(to, (size_t)events);
    for (int i = 0; i < events; i++) {
        Topic *topic = take_topic();
        size_t bytes = payload_write(payload, topic, ts_us[i]);
        to = pack_array(to, 3);
        to = pack_text(to, topic->name);
        to = pack_uint(to, topic->seq);
        to = pack_bytes(to, 0xc6, payload, bytes);
    }
    return to;
}

static void publish_batch(int events, const uint64_t *ts_us) {
    if (setup.source == SOURCE_REDIS) {
        const uint8_t *end = pack_batch(batch, events, ts_us);
        calls_in_flight += redis_batch(&connection, batch_number, batch, (size_t)(end - batch));
        return;
    }
    uint8_t *start, *to = call_begin(256 + (size_t)events * (MAX_PAYLOAD_BYTES + 128), "crosstick.bus.push", &start);
    uint8_t *argument = to;
    to = pack_batch(to + 5, events, ts_us);
    pack_length(argument, 0xc6, (size_t)(to - argument) - 5);
    call_end(start, to);
}

static void publish_one(uint64_t ts_us) {
    char payload[MAX_PAYLOAD_BYTES];
    Topic *topic = take_topic();
    size_t bytes = payload_write(payload, topic, ts_us), name = strlen(topic->name);
    uint8_t *start = connection_room(&connection, bytes + name + 128);
    char *body = (char *)start + (setup.source == SOURCE_NATS ? 0 : setup.source == SOURCE_WEBSOCKET ? 8 : 4), *to = body;
    if (setup.source == SOURCE_NATS) {
        memcpy(to, "PUB ", 4);
        memcpy(to + 4, topic->name, name);
        to += 4 + name;
        *to++ = ' ';
        to += write_number(to, bytes);
        memcpy(to, "\r\n", 2);
        memcpy(to + 2, payload, bytes);
        memcpy(to + 2 + bytes, "\r\n", 2);
        to += bytes + 4;
    } else {
        memcpy(to, "[16,", 4);
        to += 4 + write_number(to + 4, ++request_id);
        memcpy(to, ",{},\"", 5);
        memcpy(to + 5, topic->name, name);
        to += 5 + name;
        memcpy(to, "\",[", 3);
        memcpy(to + 3, payload, bytes);
        memcpy(to + 3 + bytes, "]]", 2);
        to += bytes + 5;
        size_t size = (size_t)(to - body);
        if (setup.source == SOURCE_RAWSOCKET) {
            rawsocket_length(start, size);
        } else {
            size_t header = websocket_header(start, OPCODE_TEXT, size); /* 8 bytes, or 6 before a short message */
            if (header < 8) memmove(start + header, body, size);
            to -= 8 - header;
        }
    }
    connection.out_bytes += (size_t)((uint8_t *)to - start);
}

void publisher_publish(int events, const uint64_t *ts_us) {
    if (on_bus()) {
        publish_batch(events, ts_us);
    } else {
        for (int i = 0; i < events; i++) publish_one(ts_us[i]);
    }
    flush();
}
