/* What reads for many clients that follow the same symbols over WAMP in batched JSON, and judges plain ticks by itself.
 *
 * What a part owns: ticks.c the bytes of an event; reader.c sockets, frames and what is handed to the caller. A tick that follows
 * on what its client has seen is counted here; whatever else comes is handed over, in the order in which it came.
 */
#ifndef CROSSTICK_READING_H
#define CROSSTICK_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEPARATOR 0x18 /* behind each message of a batched JSON frame */
#define READ_BYTES (256 * 1024)
#define MAX_MESSAGE_BYTES (2 * 1024 * 1024)
#define MAX_TICKS 256 /* that are handed over at once */

/* One symbol, as one client sees it. */
typedef struct {
    int64_t seq; /* up to where everything has been seen or told; 0: nothing yet */
    int64_t id;  /* of the last trade; 0: the next may have any */
    bool held;   /* its ticks are handed over */
} Place;

/* A tick of a symbol: first and last number that it stands for, first and last id, the first 0 where a tick cannot say it. */
typedef struct {
    int64_t symbol, first, last, first_id, last_id;
} Tick;

/* One client over all its connections. The caller may read and write everything here. */
typedef struct {
    int64_t ticks, lost; /* trades that ticks stood for, and trades that are in no tick, of those counted here */
    int64_t connections; /* on which ticks came */
    double heard_s;      /* when bytes came last; times are CLOCK_MONOTONIC's */
    double live_since_s; /* when ticks came on this connection for the first time; 0: none yet */
    double ticked_s;     /* when ticks came last */
    double longest_silence_s;
} Client;

typedef enum { HANDED_TICKS = 1, HANDED_MESSAGE, HANDED_CONTROL, HANDED_END } Kind;

typedef struct {
    int32_t kind;
    int32_t client;
    int32_t opcode; /* of a control frame */
    int32_t error;  /* of an end: errno, 0 where the other side has closed, -1 where what came is against the rules */
    const void *data;
    int64_t size; /* bytes, or ticks */
} Handed;

/* ticks.c */

typedef struct Symbols Symbols;

/* Symbols by their names, parted by commas; NULL: no memory. */
Symbols *symbols_new(const char *names);
void symbols_free(Symbols *symbols);
int symbols_count(const Symbols *symbols);
/* Read a whole EVENT; false when it is no tick of these symbols in the form that gateways give ticks. */
bool tick_read(const Symbols *symbols, const uint8_t *data, size_t bytes, Tick *tick);

/* reader.c */

typedef struct Reader Reader;

/* NULL: errno says why. */
Reader *reader_new(const char *names, int clients);
void reader_free(Reader *reader);
Client *reader_client(Reader *reader, int client);
/* As many as there are symbols, in their order. */
Place *reader_places(Reader *reader, int client);
/* Read what comes on a connection of a client, which had none; returns 0 or an errno. The caller keeps the descriptor. */
int reader_watch(Reader *reader, int client, int fd);
void reader_forget(Reader *reader, int client);
/* Go on until something is to be handed over, which is valid until the next call; false: all that had come has been taken. Each
 * connection is read once between two answers of false. */
bool reader_next(Reader *reader, Handed *handed);

#endif
