/* How fast can memory be read? One number for each repetition, in GB/s (10^9 bytes a second).

       bandwidth MIB THREADS REPETITIONS

   Each thread fills its own share of the buffer, so that its pages lie near it, and then reads it from end to end; a
   repetition lasts from the moment when all begin to the moment when the last one ends. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef uint64_t vector __attribute__((vector_size(64))); /* gcc and clang split it where registers are smaller */

static size_t bytes_each;
static int repetitions;
static pthread_barrier_t gate;
static volatile uint64_t sink;

static uint64_t read_all(const uint64_t *data, size_t n) {
    const vector *v = (const vector *)data;
    vector a = {0}, b = {0}, c = {0}, d = {0}; /* four sums, so that no addition waits for another */
    for (size_t i = 0; i + 4 <= n / 8; i += 4) {
        a ^= v[i];
        b ^= v[i + 1];
        c ^= v[i + 2];
        d ^= v[i + 3];
    }
    a ^= b ^ c ^ d;
    return a[0] ^ a[1] ^ a[2] ^ a[3] ^ a[4] ^ a[5] ^ a[6] ^ a[7];
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void *work(void *seconds) {
    uint64_t *data = aligned_alloc(4096, bytes_each);
    if (!data) exit(2);
    size_t n = bytes_each / sizeof *data;
    for (size_t i = 0; i < n; i++) data[i] = i * 0x9E3779B97F4A7C15u;
    sink += read_all(data, n);
    for (int r = 0; r < repetitions; r++) {
        pthread_barrier_wait(&gate);
        double began = now();
        uint64_t got = read_all(data, n);
        pthread_barrier_wait(&gate);
        if (seconds) ((double *)seconds)[r] = now() - began;
        sink += got;
    }
    free(data);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4) return 1;
    int threads = atoi(argv[2]);
    repetitions = atoi(argv[3]);
    if (threads < 1 || repetitions < 1) return 1;
    bytes_each = ((size_t)atoi(argv[1]) << 20) / threads / 4096 * 4096;
    double *seconds = calloc(repetitions, sizeof *seconds);
    pthread_barrier_init(&gate, NULL, threads);
    pthread_t *ids = calloc(threads, sizeof *ids);
    for (int t = 0; t < threads; t++)
        if (pthread_create(&ids[t], NULL, work, t ? NULL : seconds)) return 2;
    for (int t = 0; t < threads; t++) pthread_join(ids[t], NULL);
    for (int r = 0; r < repetitions; r++) printf("%.3f\n", bytes_each * (double)threads / seconds[r] / 1e9);
    return 0;
}
