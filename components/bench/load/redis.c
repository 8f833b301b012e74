/* Redis as a leading feed writes to it: batches into a stream, where the epoch stands, and the feed's status. */
#include "load.h"

#include <string.h>
#include <time.h>

#define KEPT_BATCHES 1000
#define STATUS_KEPT_MS 5000

static unsigned long long wall_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
}

static void add(Connection *connection, const char *text, size_t bytes) {
    connection_printf(connection, "$%zu\r\n", bytes);
    connection_queue(connection, text, bytes);
    connection_queue(connection, "\r\n", 2);
}

/* A command of words parted by blanks, and maybe a last one of any bytes. */
static void command(Connection *connection, char *words, const void *last, size_t last_bytes) {
    int count = last ? 2 : 1;
    for (const char *at = words; *at; at++) count += *at == ' ';
    connection_printf(connection, "*%d\r\n", count);
    for (char *word; (word = strsep(&words, " "));) add(connection, word, strlen(word));
    if (last) add(connection, last, last_bytes);
}

int redis_batch(Connection *connection, uint64_t number, const uint8_t *batch, size_t bytes) {
    char words[256];
    unsigned long long epoch = setup.epoch_ms, count = number;
    snprintf(words, sizeof words, "XADD {crosstick}:batches MAXLEN ~ %d %llu-%llu t %llu b", KEPT_BATCHES, epoch, count,
             wall_clock_ms());
    command(connection, words, batch, bytes);
    snprintf(words, sizeof words, "HSET {crosstick}:state epoch %llu number %llu", epoch, count);
    command(connection, words, NULL, 0);
    return 2;
}

int redis_status(Connection *connection, const char *status) {
    char words[256];
    snprintf(words, sizeof words, "XADD {crosstick}:status MAXLEN 1 * s");
    command(connection, words, status, strlen(status));
    snprintf(words, sizeof words, "PEXPIRE {crosstick}:status %d", STATUS_KEPT_MS);
    command(connection, words, NULL, 0);
    return 2;
}

size_t redis_take(const uint8_t *data, size_t bytes, int *answered) {
    size_t at = 0;
    const uint8_t *end;
    while ((end = memchr(data + at, '\n', bytes - at))) {
        const uint8_t *line = data + at;
        if (*line == '-') fail("Redis said %.*s", (int)(end - line), line);
        *answered += *line == '$' || *line == ':'; /* what follows a $ is the id of an entry, and no answer of its own */
        at = (size_t)(end + 1 - data);
    }
    return at;
}
