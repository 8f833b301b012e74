/* The bytes of an EVENT with a tick, as gateways write them: keys in one order, no blanks. */
#include "reading.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DIGITS 18 /* what an int64_t holds whatever the digits */

typedef struct {
    const char *name;
    size_t bytes;
    int number;
} Slot;

struct Symbols {
    char *names;
    Slot *slots;
    size_t mask;
    int count;
};

static size_t hash(const uint8_t *name, size_t bytes) {
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) value = (value ^ name[i]) * 0x100000001b3u;
    return (size_t)(value ^ value >> 29);
}

static Slot *slot_of(const Symbols *symbols, const uint8_t *name, size_t bytes) {
    for (size_t at = hash(name, bytes);; at++) {
        Slot *slot = &symbols->slots[at & symbols->mask];
        if (!slot->name || (slot->bytes == bytes && !memcmp(slot->name, name, bytes))) return slot;
    }
}

Symbols *symbols_new(const char *names) {
    Symbols *symbols = calloc(1, sizeof *symbols);
    if (!symbols) return NULL;
    size_t most = 1, slots = 4;
    for (const char *at = names; *at; at++) most += *at == ',';
    while (slots < 4 * most) slots *= 2;
    symbols->names = strdup(names);
    symbols->slots = calloc(slots, sizeof *symbols->slots);
    symbols->mask = slots - 1;
    if (!symbols->names || !symbols->slots) {
        symbols_free(symbols);
        return NULL;
    }
    char *rest = symbols->names;
    for (char *name; (name = strsep(&rest, ","));) {
        size_t bytes = strlen(name);
        Slot *slot = slot_of(symbols, (const uint8_t *)name, bytes);
        *slot = (Slot){name, bytes, symbols->count++};
    }
    return symbols;
}

void symbols_free(Symbols *symbols) {
    if (!symbols) return;
    free(symbols->names);
    free(symbols->slots);
    free(symbols);
}

int symbols_count(const Symbols *symbols) { return symbols->count; }

typedef struct {
    const uint8_t *at, *end;
} Text;

static bool take(Text *text, const char *expected, size_t bytes) {
    if ((size_t)(text->end - text->at) < bytes || memcmp(text->at, expected, bytes)) return false;
    text->at += bytes;
    return true;
}

#define TAKE(text, expected) take(text, expected, sizeof expected - 1)

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

static bool take_number(Text *text, int64_t *number) {
    const uint8_t *from = text->at;
    int64_t value = 0;
    for (; text->at < text->end && is_digit(*text->at); text->at++) {
        if (text->at - from == MAX_DIGITS) return false;
        value = value * 10 + (*text->at - '0');
    }
    *number = value;
    return text->at > from;
}

static bool take_until(Text *text, uint8_t byte) {
    const uint8_t *found = memchr(text->at, byte, (size_t)(text->end - text->at));
    if (!found) return false;
    text->at = found;
    return true;
}

/* What a merged tick says besides: {…,"seq":9,"merged":3,"high":…,"low":…,"first_id":7,"last_id":9,"first_seq":7}. */
static bool find_number(Text rest, const char *key, size_t bytes, int64_t *number) {
    const uint8_t *found = memmem(rest.at, (size_t)(rest.end - rest.at), key, bytes);
    if (!found) return true;
    rest.at = found + bytes;
    return take_number(&rest, number);
}

#define FIND(rest, key, number) find_number(rest, key, sizeof key - 1, number)

bool tick_read(const Symbols *symbols, const uint8_t *data, size_t bytes, Tick *tick) {
    Text text = {data, data + bytes};
    int64_t subscription, publication, ts, id, seq;
    if (!TAKE(&text, "[36,") || !take_number(&text, &subscription) || !TAKE(&text, ",") ||
        !take_number(&text, &publication) || !TAKE(&text, ",{},[{\"symbol\":\""))
        return false;
    const uint8_t *name = text.at;
    if (!take_until(&text, '"')) return false;
    const Slot *slot = slot_of(symbols, name, (size_t)(text.at - name));
    if (!slot->name) return false;
    if (!TAKE(&text, "\",\"price\":") || !take_until(&text, ',') || !TAKE(&text, ",\"volume\":") ||
        !take_until(&text, ',') || !TAKE(&text, ",\"side\":\"") || !take_until(&text, '"') || !TAKE(&text, "\",\"ts\":") ||
        !take_number(&text, &ts) || !TAKE(&text, ",\"id\":") || !take_number(&text, &id) || !TAKE(&text, ",\"seq\":") ||
        !take_number(&text, &seq))
        return false;
    *tick = (Tick){slot->number, seq, seq, id, id};
    if (text.at < text.end && *text.at == ',') {
        Text rest = text;
        if (!take_until(&text, '}')) return false;
        rest.end = text.at;
        int64_t merged = 1, dropped = 0, first_id = id;
        if (!FIND(rest, ",\"merged\":", &merged) || !FIND(rest, ",\"dropped\":", &dropped) ||
            !FIND(rest, ",\"first_id\":", &first_id))
            return false;
        tick->first = seq - merged - dropped + 1;
        /* Of what was left out nobody says the ids. */
        tick->first_id = dropped ? 0 : first_id;
    }
    return TAKE(&text, "}]]") && text.at == text.end;
}
