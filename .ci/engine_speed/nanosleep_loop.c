/* The peer of the open model: a bare loop that sleeps to each due time with clock_nanosleep and
 * does nothing else. What it is late by is what the kernel and the machine make of such a schedule.
 *
 *     cc -O2 -o nanosleep_loop nanosleep_loop.c && ./nanosleep_loop 10000 60
 *
 * Arguments: wakes per second, seconds, and the timer slack of the thread in nanoseconds (without
 * it that of the system, 50,000 by default). Prints quantiles of the lag in microseconds as JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int64_t rate = argc > 1 ? atoll(argv[1]) : 0, seconds = argc > 2 ? atoll(argv[2]) : 0;
    if (rate < 1 || rate > 1000000 || seconds < 1 || seconds > 3600) {
        fprintf(stderr, "usage: nanosleep_loop WAKES_PER_SECOND SECONDS [SLACK_NS]\n");
        return 2;
    }
    if (argc > 3 && prctl(PR_SET_TIMERSLACK, atoll(argv[3])) != 0) {
        perror("prctl");
        return 1;
    }
    int64_t count = rate * seconds, *lag_ns = calloc(count, sizeof *lag_ns);
    if (lag_ns == NULL) {
        perror("calloc");
        return 1;
    }
    /* So that no page is touched for the first time while it measures. */
    for (int64_t n = 0; n < count; n++) lag_ns[n] = 1;
    int64_t start = now_ns() + 100000000;
    for (int64_t n = 0; n < count; n++) {
        int64_t due = start + n * 1000000000LL / rate;
        struct timespec at = {due / 1000000000, due % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {}
        lag_ns[n] = now_ns() - due;
    }
    qsort(lag_ns, count, sizeof *lag_ns, ascending);
    printf("{\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}\n",
           lag_ns[(int64_t)(count * 0.5)] / 1e3, lag_ns[(int64_t)(count * 0.99)] / 1e3,
           lag_ns[(int64_t)(count * 0.999)] / 1e3, lag_ns[count - 1] / 1e3);
    return 0;
}
