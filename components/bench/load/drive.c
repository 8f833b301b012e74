/* The loop's turns, and what is published in them: as much as the server takes, or a steady rate. */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MIN_WINDOW 64
#define MAX_WINDOW 200000
#define WINDOW_UPDATE_US 20000
#define MAX_RATE 400000 /* events/s: a ms of them is a batch */
#define STATUS_US 1000000
#define DRAIN_TURN_MS 50

typedef enum { QUIET, SATURATE, PACE } Mode;

static Mode mode;
static Connection timer = {.kind = KIND_TIMER, .fd = -1};
static uint64_t next_status_us;
static double events_per_tick, tick_us, events_owed, next_tick_us;
static double window, window_rate, queue_us, mean_receivers;
static uint64_t window_updated_us, window_accounted;
static int64_t written_off; /* deliveries that were missing at the end of earlier measurements */

void drive_open(void) {
    timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer.fd < 0) fail("timerfd_create: %s", strerror(errno));
    loop_add(&timer);
    next_status_us = now_us() + STATUS_US;
}

static void set_timer(uint64_t at_us) {
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_us / 1000000), .tv_nsec = (long)(at_us % 1000000 * 1000)}};
    if (timerfd_settime(timer.fd, TFD_TIMER_ABSTIME, &when, NULL)) fail("timerfd_settime: %s", strerror(errno));
}

static int64_t outstanding(void) { return (int64_t)(publisher.expected - accounted()) - written_off; }

/* Publish what is due; what is overdue goes out together, as a feed that was held up reads more at once. */
static void publish_paced(uint64_t now) {
    uint64_t due_us[MAX_BATCH_EVENTS];
    while (next_tick_us <= (double)now && publisher_may_write()) {
        int count = 0;
        while (next_tick_us <= (double)now && count + events_per_tick + 1 <= MAX_BATCH_EVENTS) {
            uint64_t due = (uint64_t)next_tick_us;
            if (now - due > publisher.max_late_us) publisher.max_late_us = now - due;
            for (events_owed += events_per_tick; events_owed >= 1; events_owed--) due_us[count++] = due;
            next_tick_us += tick_us;
        }
        publisher_publish(count, due_us);
    }
    /* A publisher that may not write is woken by its connection. */
    if (publisher_may_write()) set_timer((uint64_t)next_tick_us + 1);
}

static void publish_due(uint64_t now) {
    if (mode == PACE) {
        publish_paced(now);
    } else if (mode == SATURATE) {
        if (now - window_updated_us >= WINDOW_UPDATE_US) {
            double rate = (double)(accounted() - window_accounted) / mean_receivers / (double)(now - window_updated_us);
            window_rate += 0.3 * (rate - window_rate);
            window = window_rate * queue_us;
            window = window < MIN_WINDOW ? MIN_WINDOW : window > MAX_WINDOW ? MAX_WINDOW : window;
            window_updated_us = now;
            window_accounted = accounted();
        }
        /* In portions, as a feed that reads a full socket brings them. */
        int portion = window / 4 < MAX_BATCH_EVENTS ? (int)(window / 4) : MAX_BATCH_EVENTS;
        uint64_t now_for_all[MAX_BATCH_EVENTS];
        for (int i = 0; i < portion; i++) now_for_all[i] = now;
        while (publisher_may_write() && (double)outstanding() / mean_receivers + portion <= window)
            publisher_publish(portion, now_for_all);
    }
}

uint64_t turn(int timeout_ms) {
    void *ready[64];
    uint32_t events[64];
    int count = loop_wait(ready, events, 64, timeout_ms);
    uint64_t now = now_us();
    for (int i = 0; i < count; i++) {
        Connection *connection = ready[i];
        if (connection->kind == KIND_CLIENT) {
            client_event(ready[i], events[i]);
        } else if (connection->kind == KIND_PUBLISHER) {
            publisher_event(events[i]);
        } else {
            uint64_t expirations;
            if (read(timer.fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) fail("timer: %s", strerror(errno));
        }
        if (mode == PACE && next_tick_us <= (double)(now = now_us())) publish_due(now);
    }
    now = now_us();
    if (mode != QUIET) publish_due(now);
    if (now >= next_status_us) {
        publisher_tell_status();
        next_status_us = now + STATUS_US;
    }
    return now;
}

void drive_saturate(double for_us) {
    uint64_t receivers = 0;
    for (int i = 0; i < setup.topic_count; i++) receivers += setup.topics[i].receivers;
    mean_receivers = (double)receivers / setup.topic_count;
    if (mean_receivers <= 0) fail("nobody subscribes");
    queue_us = for_us;
    window = MIN_WINDOW;
    window_rate = 0;
    window_updated_us = now_us();
    window_accounted = accounted();
    mode = SATURATE;
    publish_due(now_us());
}

void drive_pace(double rate) {
    if (rate <= 0 || rate > MAX_RATE) fail("pace: the rate must be > 0 and <= %d", MAX_RATE);
    tick_us = rate >= 1000 ? 1000 : 1e6 / rate;
    events_per_tick = rate * tick_us / 1e6;
    events_owed = 1e-6;
    next_tick_us = (double)now_us() + tick_us;
    mode = PACE;
    set_timer((uint64_t)next_tick_us + 1);
}

void drive_stop(void) {
    mode = QUIET;
    uint64_t last = accounted(), before = now_us(), waited = 0;
    while (outstanding() > 0 && waited <= setup.patience_us) {
        uint64_t now = turn(DRAIN_TURN_MS), took = now - before;
        waited += took < 2 * DRAIN_TURN_MS * 1000 ? took : 2 * DRAIN_TURN_MS * 1000;
        before = now;
        if (accounted() != last) {
            last = accounted();
            waited = 0;
        }
    }
    for (uint64_t until = now_us() + 50000; turn(10) < until;) continue; /* what comes too often comes now */
    written_off += outstanding();
}
