/* Commands from stdin, one per line; each is answered by one line of JSON when it is done.
 *
 *   publisher TIMEOUT                        join the publisher
 *   connect COUNT AT_ONCE SUBSCRIBE TIMEOUT  join clients, AT_ONCE of them under way at any time, and maybe subscribe
 *   subscribe TIMEOUT                        subscribe those that only joined
 *   idle SECONDS                             keep everything open
 *   saturate WARM MEASURE QUEUE_MS PID…      publish so that QUEUE_MS of events are on their way; measure
 *   pace RATE WARM MEASURE PID…              publish RATE events/s; measure
 *   topics                                   seq and volume (in tenths) of what was published, per topic
 *   rss PID…                                 memory of processes
 *   cpu PID…                                 CPU time of processes since their start
 *   close                                    close the clients' connections
 *   quit
 */
#include "load.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int pids[MAX_PIDS], pid_count;

void fail(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 32) *at = '\'';
    printf("{\"error\":\"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

static double number(char **rest) {
    char *word = strsep(rest, " ");
    if (!word || !*word) fail("command: a number is missing");
    return strtod(word, NULL);
}

static void read_pids(char **rest) {
    pid_count = 0;
    while (*rest && **rest && pid_count < MAX_PIDS) pids[pid_count++] = (int)number(rest);
}

static uint64_t server_cpu_us(void) {
    uint64_t sum = 0;
    for (int i = 0; i < pid_count; i++) sum += process_cpu_us(pids[i]);
    return sum;
}

static void start_publisher(char *rest) {
    uint64_t deadline = now_us() + (uint64_t)(number(&rest) * 1e6);
    publisher_start();
    while (!publisher.joined)
        if (turn(100) > deadline) fail("the publisher has not joined in time");
    publisher_tell_status();
    printf("{\"joined\":true}\n");
}

static void connect_clients(char *rest) {
    int count = (int)number(&rest), at_once = (int)number(&rest);
    bool subscribe = number(&rest) != 0;
    uint64_t start = now_us(), deadline = start + (uint64_t)(number(&rest) * 1e6);
    if (count > setup.account_count) fail("%d clients wanted, %d are set up", count, setup.account_count);
    if (!client_count) clients_make(setup.account_count);
    tally.lost = tally.refused = 0;
    for (int started = 0; started < count || tally.in_progress;) {
        while (started < count && tally.in_progress < at_once) client_start(&clients[started++], subscribe);
        if (turn(100) > deadline)
            fail("%d of %d clients joined in time, %d have their subscriptions, %d were lost", tally.joined, count,
                 tally.ready, tally.lost);
    }
    if (tally.lost || tally.refused)
        fail("of %d clients %d were lost, %d subscriptions refused, the first %s", count, tally.lost, tally.refused,
             tally.first_loss);
    printf("{\"joined\":%d,\"ready\":%d,\"seconds\":%.6f}\n", tally.joined, tally.ready,
           (double)(now_us() - start) / 1e6);
}

static void subscribe_clients(char *rest) {
    uint64_t start = now_us(), deadline = start + (uint64_t)(number(&rest) * 1e6);
    for (int i = 0; i < client_count; i++)
        if (clients[i].state == CLIENT_JOINED) client_subscribe(&clients[i]);
    while (tally.in_progress)
        if (turn(100) > deadline) fail("%d of %d clients have their subscriptions in time", tally.ready, tally.joined);
    if (tally.lost || tally.refused)
        fail("%d clients were lost, %d subscriptions refused, the first %s", tally.lost, tally.refused, tally.first_loss);
    printf("{\"ready\":%d,\"seconds\":%.6f}\n", tally.ready, (double)(now_us() - start) / 1e6);
}

static void idle(char *rest) {
    uint64_t until = now_us() + (uint64_t)(number(&rest) * 1e6);
    while (turn(50) < until) continue;
    printf("{\"lost\":%d}\n", tally.lost);
}

/* Every client against what was published on its topics since the start. */
static void print_check(void) {
    uint64_t missing = 0, surplus = 0;
    int wrong_seq = 0, incomplete = 0;
    for (int i = 0; i < client_count; i++) {
        Client *client = &clients[i];
        uint64_t expected = 0, seq_sum = 0;
        for (int j = 0; j < client->account->topic_count; j++) {
            uint64_t seq = setup.topics[client->account->topics[j]].seq;
            expected += seq;
            seq_sum += seq * (seq + 1) / 2;
        }
        uint64_t got = client->received + client->merged + client->dropped;
        missing += got < expected ? expected - got : 0;
        surplus += got > expected ? got - expected : 0;
        incomplete += got != expected;
        /* Merged events tell one seq for several. */
        wrong_seq += !client->merged && !client->dropped && got == expected && client->seq_sum != seq_sum;
    }
    printf("\"expected\":%llu,\"arrived\":%llu,\"missing\":%llu,\"surplus\":%llu,\"incomplete_clients\":%d,\"wrong_seq_clients\":%d,"
           "\"unreadable\":%llu,\"lost_clients\":%d,\"why_lost\":",
           (unsigned long long)publisher.expected, (unsigned long long)tally.received, (unsigned long long)missing, (unsigned long long)surplus, incomplete,
           wrong_seq, (unsigned long long)tally.unreadable, tally.lost);
    char *why = tally.first_loss;
    putchar('"');
    for (; *why; why++) putchar(*why == '"' || *why == '\\' || (unsigned char)*why < 32 ? '\'' : *why);
    printf("\"}\n");
}

static void measure(double warm_s, double measure_s) {
    uint64_t started = now_us();
    tally.measuring = false;
    latency_reset();
    publisher.max_late_us = 0;
    while (turn(100) < started + (uint64_t)(warm_s * 1e6)) continue;

    uint64_t start = now_us(), cpu = server_cpu_us(), own = own_cpu_us(), received = tally.received;
    uint64_t merged = tally.merged, dropped = tally.dropped, bytes = tally.bytes, published = publisher.published;
    tally.measured_us = start;
    tally.measuring = true;
    uint64_t end;
    while ((end = turn(100)) < start + (uint64_t)(measure_s * 1e6)) continue;
    cpu = server_cpu_us() - cpu;
    own = own_cpu_us() - own;
    printf("{\"seconds\":%.6f,\"delivered\":%llu,\"merged\":%llu,\"dropped\":%llu,\"delivered_bytes\":%llu,\"published\":%llu,"
           "\"server_cpu_us\":%llu,\"load_cpu_us\":%llu,\"rss_bytes\":[",
           (double)(end - start) / 1e6, (unsigned long long)(tally.received - received),
           (unsigned long long)(tally.merged - merged), (unsigned long long)(tally.dropped - dropped),
           (unsigned long long)(tally.bytes - bytes),
           (unsigned long long)(publisher.published - published), (unsigned long long)cpu, (unsigned long long)own);
    for (int i = 0; i < pid_count; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)process_rss_bytes(pids[i]));
    drive_stop();
    tally.measuring = false;
    printf("],\"max_late_us\":%llu,\"latency\":", (unsigned long long)publisher.max_late_us);
    latency_print(stdout);
    putchar(',');
    print_check();
}

static void saturate(char *rest) {
    double warm_s = number(&rest), measure_s = number(&rest), queue_ms = number(&rest);
    read_pids(&rest);
    tally.sample_mask = 15;
    drive_saturate(queue_ms * 1000);
    measure(warm_s, measure_s);
}

static void pace(char *rest) {
    double rate = number(&rest), warm_s = number(&rest), measure_s = number(&rest);
    read_pids(&rest);
    tally.sample_mask = 0;
    drive_pace(rate);
    measure(warm_s, measure_s);
}

static void print_topics(void) {
    printf("{\"topics\":[");
    for (int i = 0; i < setup.topic_count; i++)
        printf("%s[%llu,%llu]", i ? "," : "", (unsigned long long)setup.topics[i].seq,
               (unsigned long long)setup.topics[i].volume_tenths);
    printf("]}\n");
}

static void rss(char *rest) {
    read_pids(&rest);
    printf("{\"rss_bytes\":[");
    for (int i = 0; i < pid_count; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)process_rss_bytes(pids[i]));
    printf("]}\n");
}

static void cpu(char *rest) {
    read_pids(&rest);
    printf("{\"cpu_us\":%llu}\n", (unsigned long long)server_cpu_us());
}

int main(int count, char **arguments) {
    if (count != 2) fail("usage: crosstick-load SETUP_FILE");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setup_read(arguments[1]);
    loop_open();
    drive_open();
    char *line = NULL;
    size_t capacity = 0;
    ssize_t bytes;
    while ((bytes = getline(&line, &capacity, stdin)) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line, *word = strsep(&rest, " ");
        if (!strcmp(word, "publisher")) start_publisher(rest);
        else if (!strcmp(word, "connect")) connect_clients(rest);
        else if (!strcmp(word, "subscribe")) subscribe_clients(rest);
        else if (!strcmp(word, "idle")) idle(rest);
        else if (!strcmp(word, "saturate")) saturate(rest);
        else if (!strcmp(word, "pace")) pace(rest);
        else if (!strcmp(word, "topics")) print_topics();
        else if (!strcmp(word, "rss")) rss(rest);
        else if (!strcmp(word, "cpu")) cpu(rest);
        else if (!strcmp(word, "close")) { clients_close(); printf("{\"closed\":true}\n"); }
        else if (!strcmp(word, "quit")) break;
        else fail("no command %s", word);
        fflush(stdout);
    }
    return 0;
}
