/* Sockets, their buffers and the epoll that watches them. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

uint8_t read_buffer[READ_BUFFER_BYTES];
static int epoll = -1;

void loop_open(void) {
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1: %s", strerror(errno));
}

void loop_add(Connection *connection) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

int loop_wait(void **ready, uint32_t *events, int capacity, int timeout_ms) {
    static struct epoll_event found[128];
    int count = epoll_wait(epoll, found, capacity < 128 ? capacity : 128, timeout_ms);
    if (count < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        ready[i] = found[i].data.ptr;
        events[i] = found[i].events;
    }
    return count < 0 ? 0 : count;
}

static void watch_output(Connection *connection, bool on) {
    if (connection->watching_output == on) return;
    struct epoll_event event = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
    connection->watching_output = on;
}

static void open_socket(Connection *connection, int domain, const struct sockaddr *address, socklen_t bytes) {
    connection->fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) fail("socket: %s", strerror(errno));
    if (connect(connection->fd, address, bytes) && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    if (domain == AF_INET) {
        int on = 1;
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    connection->watching_output = false;
    connection->in_bytes = connection->out_bytes = connection->out_sent = 0;
    loop_add(connection);
}

void connection_open_tcp(Connection *connection, const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("not an IPv4 address: %s", host);
    open_socket(connection, AF_INET, (struct sockaddr *)&address, sizeof address);
}

void connection_open_unix(Connection *connection, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail("path of a unix socket too long: %s", path);
    strcpy(address.sun_path, path);
    open_socket(connection, AF_UNIX, (struct sockaddr *)&address, sizeof address);
}

void connection_close(Connection *connection) {
    if (connection->fd >= 0) close(connection->fd);
    connection->fd = -1;
    connection->in_bytes = connection->out_bytes = connection->out_sent = 0;
}

uint8_t *connection_room(Connection *connection, size_t bytes) {
    if (connection->out_bytes + bytes > connection->out_capacity) {
        connection->out_capacity = (connection->out_bytes + bytes) * 2;
        connection->out = realloc(connection->out, connection->out_capacity);
        if (!connection->out) fail("out of memory");
    }
    return connection->out + connection->out_bytes;
}

void connection_queue(Connection *connection, const void *data, size_t bytes) {
    memcpy(connection_room(connection, bytes), data, bytes);
    connection->out_bytes += bytes;
}

void connection_printf(Connection *connection, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text;
    int bytes = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (bytes < 0) fail("out of memory");
    connection_queue(connection, text, (size_t)bytes);
    free(text);
}

bool connection_flush(Connection *connection) {
    while (connection->out_sent < connection->out_bytes) {
        ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
                            connection->out_bytes - connection->out_sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            /* ENOTCONN: the connection is still being made */
            if (errno != EAGAIN && errno != ENOTCONN) return false;
            watch_output(connection, true);
            return true;
        }
        connection->out_sent += (size_t)sent;
    }
    connection->out_bytes = connection->out_sent = 0;
    watch_output(connection, false);
    return true;
}

ssize_t connection_read(Connection *connection) {
    size_t kept = connection->in_bytes;
    if (kept) memcpy(read_buffer, connection->in, kept);
    if (kept == READ_BUFFER_BYTES) fail("a frame is longer than %d bytes", READ_BUFFER_BYTES);
    ssize_t got = recv(connection->fd, read_buffer + kept, READ_BUFFER_BYTES - kept, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (got == 0) return -1;
    connection->in_bytes = 0;
    return (ssize_t)kept + got;
}

void connection_keep(Connection *connection, const uint8_t *rest, size_t bytes) {
    if (bytes > connection->in_capacity) {
        connection->in_capacity = bytes * 2;
        connection->in = realloc(connection->in, connection->in_capacity);
        if (!connection->in) fail("out of memory");
    }
    memcpy(connection->in, rest, bytes);
    connection->in_bytes = bytes;
}
