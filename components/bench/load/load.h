/* Types and functions that the load generator's parts share: one process, one thread, one epoll.
 *
 * What a part owns: connection.c sockets and buffers; websocket.c frames; payload.c the bytes of an event and what is read
 * back from them; msgpack.c the bytes of a batch; client.c subscribers; publisher.c the source of the events, redis.c as much of
 * it as Redis needs; measure.c clocks, histogram and /proc;
 * setup.c the description of a run; drive.c the loop's turns and how much is published in them; main.c commands.
 */
#ifndef CROSSTICK_LOAD_H
#define CROSSTICK_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define READ_BUFFER_BYTES (512 * 1024)
#define MAX_BATCH_EVENTS 500
#define MAX_CALLS_IN_FLIGHT 8
#define MAX_PUBLISHER_QUEUE_BYTES (4 * 1024 * 1024)
#define MAX_PIDS 16
#define STASH_BYTES 8192

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* connection.c */

typedef enum { KIND_CLIENT, KIND_PUBLISHER, KIND_TIMER } Kind;

typedef struct {
    Kind kind; /* first: what an epoll event points to is told by it */
    int fd;    /* -1: not open */
    bool watching_output;
    uint8_t *in; /* bytes of a frame that is not complete yet */
    size_t in_bytes, in_capacity;
    uint8_t *out;
    size_t out_bytes, out_sent, out_capacity;
} Connection;

extern uint8_t read_buffer[READ_BUFFER_BYTES];

void loop_open(void);
void loop_add(Connection *connection);
int loop_wait(void **ready, uint32_t *events, int capacity, int timeout_ms);
void connection_open_tcp(Connection *connection, const char *host, int port);
void connection_open_unix(Connection *connection, const char *path);
void connection_close(Connection *connection);
/* Room for `bytes` more at the end of what is queued; add what was written there to out_bytes. */
uint8_t *connection_room(Connection *connection, size_t bytes);
void connection_queue(Connection *connection, const void *data, size_t bytes);
void connection_printf(Connection *connection, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Write what is queued; false when the connection is lost. */
bool connection_flush(Connection *connection);
/* One read, behind what was kept: bytes now in read_buffer, 0 for "nothing yet", -1 for "lost". */
ssize_t connection_read(Connection *connection);
void connection_keep(Connection *connection, const uint8_t *rest, size_t bytes);

/* websocket.c */

typedef struct {
    uint8_t opcode;
    const uint8_t *payload;
    uint64_t size; /* of the payload, also where not all of it has arrived */
    size_t header; /* bytes; 0: not even the header has arrived */
} Frame;

enum { OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

void websocket_request(Connection *connection, const char *host, int port, const char *path, const char *protocol);
/* Bytes of the server's answer; 0: incomplete, -1: refused. */
ssize_t websocket_answer(const uint8_t *data, size_t bytes);
Frame websocket_frame(const uint8_t *data, size_t bytes);
void websocket_send(Connection *connection, uint8_t opcode, const void *payload, size_t bytes);
size_t websocket_header(uint8_t *to, uint8_t opcode, size_t bytes);

/* payload.c */

typedef struct {
    char *name;
    char *symbol;
    uint64_t seq;           /* of the last event published */
    uint64_t volume_tenths; /* of all its events together */
    uint32_t receivers;     /* clients that subscribe to it */
} Topic;

typedef struct {
    uint64_t seq;
    uint64_t merged;  /* events that it stands for: 1 for a plain one */
    uint64_t dropped; /* events that it says were left out before it */
    uint64_t ts_us;   /* as now_us() when it was published */
} Reading;

/* Write the next event of a topic; returns its bytes (at most MAX_PAYLOAD_BYTES). */
#define MAX_PAYLOAD_BYTES 256
size_t payload_write(char *to, Topic *topic, uint64_t ts_us);
/* Read an event back from its end; false when it is none of ours. */
bool payload_read(const uint8_t *data, size_t bytes, bool with_ts, Reading *reading);
/* Add what the details of a whole EVENT say of merged and dropped ones. */
void details_read(const uint8_t *data, size_t bytes, Reading *reading);
size_t write_number(char *to, uint64_t number);

/* measure.c */

uint64_t now_us(void);
void latency_reset(void);
void latency_add(uint64_t us);
void latency_print(FILE *to);
uint64_t process_cpu_us(int pid);
uint64_t process_rss_bytes(int pid);
uint64_t own_cpu_us(void);

/* setup.c */

typedef struct {
    char *authid;
    char *ticket;
    int *topics;
    int topic_count;
} Account;

typedef enum { PROTOCOL_WAMP, PROTOCOL_PLAIN, PROTOCOL_NATS } Protocol;
typedef enum { SOURCE_BUS, SOURCE_RAWSOCKET, SOURCE_WEBSOCKET, SOURCE_NATS, SOURCE_REDIS } Source;

typedef struct {
    Protocol protocol;
    char *host, *path, *realm;
    int port;
    Topic *topics;
    int topic_count;
    Account *accounts;
    int account_count;
    Source source;
    char *source_host, *source_path; /* a unix socket when source_path is given and source_host is not */
    int source_port;
    char *source_authid, *source_ticket;
    char *status; /* what the bus is told every second; NULL: nothing */
    uint64_t epoch_ms;
    uint64_t patience_us; /* without one more event, what has not come is missing */
} Setup;

extern Setup setup;
void setup_read(const char *path);

/* client.c */

typedef enum { CLIENT_CLOSED, CLIENT_UPGRADING, CLIENT_JOINING, CLIENT_JOINED, CLIENT_SUBSCRIBING, CLIENT_READY, CLIENT_LOST }
    ClientState;

typedef struct {
    Connection connection;
    ClientState state;
    bool subscribe_at_once;
    Account *account;
    int subscribed;
    uint64_t frame_left; /* NATS: payload bytes of the current frame still to come */
    uint8_t *stash;      /* NATS: a message that is not complete yet */
    size_t stash_bytes;
    uint64_t received; /* events as they came */
    uint64_t merged;   /* events beyond the first that merged ones stood for */
    uint64_t dropped;  /* events said to be dropped */
    uint64_t seq_sum;
} Client;

typedef struct {
    int in_progress, joined, ready, lost, refused; /* clients; refused: subscriptions */
    uint64_t received, merged, dropped, unreadable, bytes;
    bool measuring;       /* latencies are taken */
    uint64_t measured_us; /* of events published since then */
    uint64_t sample_mask; /* of a client's events, those whose number has none of these bits */
    char first_loss[256];
} Tally;

extern Client *clients;
extern int client_count;
extern Tally tally;

void clients_make(int count);
void client_start(Client *client, bool subscribe_at_once);
void client_subscribe(Client *client);
void client_event(Client *client, uint32_t events);
void clients_close(void);
static inline uint64_t accounted(void) { return tally.received + tally.merged + tally.dropped; }

/* msgpack.c: each returns where to go on. */

uint8_t *pack_uint(uint8_t *to, uint64_t number);
uint8_t *pack_length(uint8_t *to, uint8_t type, size_t length);
uint8_t *pack_array(uint8_t *to, size_t length);
uint8_t *pack_map(uint8_t *to, size_t length);
uint8_t *pack_bytes(uint8_t *to, uint8_t type, const void *data, size_t length);
uint8_t *pack_text(uint8_t *to, const char *text);

/* publisher.c */

typedef struct {
    bool joined;
    uint64_t published;
    uint64_t expected; /* deliveries due for what was published */
    uint64_t max_late_us;
} PublisherTally;

extern PublisherTally publisher;

void publisher_start(void);
void publisher_event(uint32_t events);
/* Publish at most MAX_BATCH_EVENTS events, each carrying a time, now; the caller saw publisher_may_write(). */
void publisher_publish(int events, const uint64_t *ts_us);
bool publisher_may_write(void);
void publisher_tell_status(void);

/* redis.c: a feed's writing without its lead, onto a Redis of the benchmark's own. */

/* Commands that write a batch; as many answers are due as is returned. */
int redis_batch(Connection *connection, uint64_t number, const uint8_t *batch, size_t bytes);
int redis_status(Connection *connection, const char *status);
/* Take whole lines of answers; adds to `answered` what has been answered, and returns the bytes that were dealt with. */
size_t redis_take(const uint8_t *data, size_t bytes, int *answered);

/* drive.c */

void drive_open(void);
/* One turn of the loop: wait at most `timeout_ms`, deal with what is ready, publish what is due; returns the time. */
uint64_t turn(int timeout_ms);
/* From here on keep as many events on their way as the server delivers in for_us. */
void drive_saturate(double for_us);
/* From here on publish `rate` events/s. */
void drive_pace(double rate);
/* Publish no more, and wait for what is on its way until nothing more comes for the setup's patience; what is missing then is
 * written off. Time in which the machine let nobody run does not count. */
void drive_stop(void);

#endif
