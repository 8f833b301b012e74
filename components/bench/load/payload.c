/* The bytes of an event: a tick as Crosstick's clients get it, and what the receiver reads back from its end.
 *
 * ts is TS_BASE plus now_us(), so that it has 13 digits like the ms since 1970 of a real tick.
 */
#include "load.h"

#include <string.h>

#define TS_BASE 1000000000000ULL
#define TS_DIGITS 13

size_t write_number(char *to, uint64_t number) {
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    for (size_t i = 0; i < count; i++) to[i] = digits[count - 1 - i];
    return count;
}

static char *put(char *to, const char *text, size_t bytes) {
    memcpy(to, text, bytes);
    return to + bytes;
}

#define PUT(to, text) put(to, text, sizeof text - 1)

size_t payload_write(char *to, Topic *topic, uint64_t ts_us) {
    static uint64_t id = 0;
    uint64_t cents = 1000000 + (++id * 7919) % 8000000;
    char *at = PUT(to, "{\"symbol\":\"");
    at = put(at, topic->symbol, strlen(topic->symbol));
    at = PUT(at, "\",\"price\":");
    at += write_number(at, cents / 100);
    *at++ = '.';
    *at++ = (char)('0' + cents / 10 % 10);
    *at++ = (char)('1' + cents % 9); /* never 0, which a server that passes it through a double would cut off */
    at = PUT(at, ",\"volume\":");
    uint64_t volume_tenths = (1 + id % 9) * 10 + 1 + id / 9 % 9; /* 1.1 to 9.9, never a digit 0 */
    topic->volume_tenths += volume_tenths;
    *at++ = (char)('0' + volume_tenths / 10);
    *at++ = '.';
    *at++ = (char)('0' + volume_tenths % 10);
    at = id & 1 ? PUT(at, ",\"side\":\"buy\",\"ts\":") : PUT(at, ",\"side\":\"sell\",\"ts\":");
    at += write_number(at, TS_BASE + ts_us);
    at = PUT(at, ",\"id\":");
    at += write_number(at, id);
    at = PUT(at, ",\"seq\":");
    at += write_number(at, ++topic->seq);
    *at++ = '}';
    return (size_t)(at - to);
}

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

static uint64_t number_at(const uint8_t *at, const uint8_t *end) {
    uint64_t number = 0;
    while (at < end && is_digit(*at)) number = number * 10 + (uint64_t)(*at++ - '0');
    return number;
}

static bool find(const uint8_t *data, size_t bytes, const char *key, uint64_t *number) {
    const uint8_t *at = memmem(data, bytes, key, strlen(key));
    if (!at) return false;
    *number = number_at(at + strlen(key), data + bytes);
    return true;
}

/* An event whose end is not "seq":N}: one that stands for several, or one with its keys in another order. */
static bool read_searching(const uint8_t *data, size_t bytes, Reading *reading) {
    uint64_t ts = 0;
    reading->merged = 1;
    reading->dropped = 0;
    if (!find(data, bytes, "\"seq\":", &reading->seq) || !find(data, bytes, "\"ts\":", &ts) || ts < TS_BASE) return false;
    find(data, bytes, "\"merged\":", &reading->merged);
    find(data, bytes, "\"dropped\":", &reading->dropped);
    reading->ts_us = ts - TS_BASE;
    return true;
}

bool payload_read(const uint8_t *data, size_t bytes, bool with_ts, Reading *reading) {
    const uint8_t *at = data + bytes;
    while (at > data && (at[-1] == ']' || at[-1] == '}')) at--;
    const uint8_t *end = at;
    while (at > data && is_digit(at[-1])) at--;
    if (at == end || at - data < 32 || memcmp(at - 7, ",\"seq\":", 7)) return read_searching(data, bytes, reading);
    reading->seq = number_at(at, end);
    reading->merged = 1;
    reading->dropped = 0;
    if (!with_ts) return true;
    at -= 7;
    while (at > data && is_digit(at[-1])) at--;
    if (at - data < 11 + TS_DIGITS || memcmp(at - 6, ",\"id\":", 6) || memcmp(at - 11 - TS_DIGITS, "\"ts\":", 5))
        return read_searching(data, bytes, reading);
    reading->ts_us = number_at(at - 6 - TS_DIGITS, at - 6) - TS_BASE;
    return true;
}

/* Events that cannot say themselves what they stand for have it in the details: [36,sub,pub,{"_merged":3},[...]]. */
void details_read(const uint8_t *data, size_t bytes, Reading *reading) {
    const uint8_t *details = memchr(data, '{', bytes), *end = data + bytes;
    if (!details || end - details < 2 || details[1] == '}') return;
    const uint8_t *arguments = memmem(details, (size_t)(end - details), "},[", 3);
    size_t length = (size_t)((arguments ? arguments : end) - details);
    find(details, length, "\"_merged\":", &reading->merged);
    find(details, length, "\"_dropped\":", &reading->dropped);
}
