/* Clocks, a latency histogram, and what /proc says of a process. */
#include "load.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Exact below 128 us, then 64 buckets per power of two: no value is off by more than 1.6 %. */
#define EXACT 128
#define PER_OCTAVE 64
#define BUCKETS (EXACT + PER_OCTAVE * 40)

static uint64_t buckets[BUCKETS], latency_count, latency_max_us;

uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int bucket_of(uint64_t us) {
    if (us < EXACT) return (int)us;
    int octave = 63 - __builtin_clzll(us); /* >= 7 */
    int bucket = EXACT + (octave - 7) * PER_OCTAVE + (int)((us >> (octave - 6)) - PER_OCTAVE);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The middle of a bucket. */
static double value_of(int bucket) {
    if (bucket < EXACT) return bucket;
    int octave = 7 + (bucket - EXACT) / PER_OCTAVE;
    uint64_t width = 1ULL << (octave - 6);
    return (double)((uint64_t)(PER_OCTAVE + (bucket - EXACT) % PER_OCTAVE) * width) + (double)width / 2;
}

void latency_reset(void) {
    memset(buckets, 0, sizeof buckets);
    latency_count = latency_max_us = 0;
}

void latency_add(uint64_t us) {
    buckets[bucket_of(us)]++;
    latency_count++;
    if (us > latency_max_us) latency_max_us = us;
}

static double quantile_ms(double fraction) {
    uint64_t rank = (uint64_t)((double)latency_count * fraction), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += buckets[i];
        if (seen > rank) return value_of(i) / 1000;
    }
    return (double)latency_max_us / 1000;
}

void latency_print(FILE *to) {
    if (!latency_count) {
        fputs("null", to);
        return;
    }
    fprintf(to, "{\"count\":%llu,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"p999_ms\":%.4f,\"max_ms\":%.3f}",
            (unsigned long long)latency_count, quantile_ms(0.5), quantile_ms(0.99), quantile_ms(0.999),
            (double)latency_max_us / 1000);
}

uint64_t process_cpu_us(int pid) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) fail("process %d of the server has ended", pid);
    size_t bytes = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[bytes] = 0;
    /* The name may hold blanks and parentheses: fields are counted from behind it. utime and stime are 14 and 15. */
    char *fields = strrchr(line, ')');
    unsigned long long user, system;
    if (!fields || sscanf(fields + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        fail("cannot read %s", path);
    return (user + system) * (1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t process_rss_bytes(int pid) {
    char path[64];
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*u %llu", &pages) != 1) fail("process %d of the server has ended", pid);
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t own_cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}
