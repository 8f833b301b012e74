/* WebSocket as a client speaks it (RFC 6455). Frames are masked with a key of zeros: legal, and it costs nothing. */
#include "load.h"

#include <string.h>

void websocket_request(Connection *connection, const char *host, int port, const char *path, const char *protocol) {
    connection_printf(connection,
                      "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: Y3Jvc3N0aWNrLWJlbmNoLg==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                      path, host, port, protocol ? "Sec-WebSocket-Protocol: " : "", protocol ? protocol : "",
                      protocol ? "\r\n" : "");
}

ssize_t websocket_answer(const uint8_t *data, size_t bytes) {
    const uint8_t *end = memmem(data, bytes, "\r\n\r\n", 4);
    if (!end) return 0;
    if (bytes < 12 || memcmp(data + 8, " 101", 4)) return -1;
    return end + 4 - data;
}

Frame websocket_frame(const uint8_t *data, size_t bytes) {
    Frame frame = {0};
    if (bytes < 2) return frame;
    size_t header = 2;
    uint64_t size = data[1] & 0x7f;
    if (size == 126) {
        if (bytes < 4) return frame;
        size = (uint64_t)data[2] << 8 | data[3];
        header = 4;
    } else if (size == 127) {
        if (bytes < 10) return frame;
        size = 0;
        for (int i = 2; i < 10; i++) size = size << 8 | data[i];
        header = 10;
    }
    frame.opcode = data[0] & 0x0f;
    frame.payload = data + header;
    frame.size = size;
    frame.header = header;
    return frame;
}

size_t websocket_header(uint8_t *to, uint8_t opcode, size_t bytes) {
    size_t at = 0;
    to[at++] = 0x80 | opcode;
    if (bytes < 126) {
        to[at++] = 0x80 | (uint8_t)bytes;
    } else if (bytes < 65536) {
        to[at++] = 0x80 | 126;
        to[at++] = (uint8_t)(bytes >> 8);
        to[at++] = (uint8_t)bytes;
    } else {
        to[at++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) to[at++] = (uint8_t)((uint64_t)bytes >> shift);
    }
    memset(to + at, 0, 4);
    return at + 4;
}

void websocket_send(Connection *connection, uint8_t opcode, const void *payload, size_t bytes) {
    uint8_t header[14];
    connection_queue(connection, header, websocket_header(header, opcode, bytes));
    connection_queue(connection, payload, bytes);
}
