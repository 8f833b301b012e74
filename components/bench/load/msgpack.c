/* MessagePack, as much of it as a feed needs: lengths and numbers always in their longest form. */
#include "load.h"

#include <string.h>

uint8_t *pack_uint(uint8_t *to, uint64_t number) {
    *to++ = 0xcf;
    for (int shift = 56; shift >= 0; shift -= 8) *to++ = (uint8_t)(number >> shift);
    return to;
}

uint8_t *pack_length(uint8_t *to, uint8_t type, size_t length) {
    *to++ = type;
    for (int shift = 24; shift >= 0; shift -= 8) *to++ = (uint8_t)(length >> shift);
    return to;
}

uint8_t *pack_array(uint8_t *to, size_t length) { return pack_length(to, 0xdd, length); }
uint8_t *pack_map(uint8_t *to, size_t length) { return pack_length(to, 0xdf, length); }

uint8_t *pack_bytes(uint8_t *to, uint8_t type, const void *data, size_t length) {
    to = pack_length(to, type, length);
    memcpy(to, data, length);
    return to + length;
}

uint8_t *pack_text(uint8_t *to, const char *text) { return pack_bytes(to, 0xdb, text, strlen(text)); }
