/* Makes the NVML calls of a call log again, at the times at which the log has them, and nothing else: the least that
 * sampling can cost on this driver. The log is the fake driver's: "0.0512 nvmlDeviceGetPowerUsage gpu 3". */
#include <dlfcn.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_GPUS 64
typedef unsigned (*call_t)(void *, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);

enum kind { OUT, SECOND, MEMORY, RING, LIST, SHARES, INFOS, ALLOC, SAMPLE, METRICS, RELEASE, KINDS };
static const struct { const char *name; enum kind kind; uintptr_t argument; } KNOWN[] = {
    {"nvmlDeviceGetPowerUsage", OUT, 0}, {"nvmlDeviceGetTotalEnergyConsumption", OUT, 0},
    {"nvmlDeviceGetPerformanceState", OUT, 0}, {"nvmlDeviceGetCurrPcieLinkGeneration", OUT, 0},
    {"nvmlDeviceGetCurrPcieLinkWidth", OUT, 0}, {"nvmlDeviceGetPcieReplayCounter", OUT, 0},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", OUT, 0}, {"nvmlDeviceGetUtilizationRates", OUT, 0},
    {"nvmlDeviceGetTemperature", SECOND, 0}, {"nvmlDeviceGetClockInfo", SECOND, 1},
    {"nvmlDeviceGetPcieThroughput", SECOND, 0}, {"nvmlDeviceGetMemoryInfo_v2", MEMORY, 0},
    {"nvmlDeviceGetSamples", RING, 0}, {"nvmlDeviceGetComputeRunningProcesses_v3", LIST, 0},
    {"nvmlDeviceGetProcessUtilization", SHARES, 0}, {"nvmlDeviceGetProcessesUtilizationInfo", INFOS, 0},
    {"nvmlGpmSampleAlloc", ALLOC, 0}, {"nvmlGpmSampleGet", SAMPLE, 0}, {"nvmlGpmMetricsGet", METRICS, 0},
    {"nvmlGpmSampleFree", RELEASE, 0},
};
#define COUNT (sizeof KNOWN / sizeof *KNOWN)

struct step { double second; int known, gpu; };
static uint64_t buffer[1 << 15], seen_samples[MOST_GPUS], seen_shares[MOST_GPUS];
static uint64_t metrics[3 + 210 * 5];
static void *handles[MOST_GPUS], *samples[MOST_GPUS][2], *fresh;
static call_t calls[COUNT];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void make(const struct step *step)
{
    static int asked_last;
    uint64_t out[8] = {0};
    uint32_t count = 256, kind = 0, code;
    call_t call = calls[step->known];
    int gpu = step->gpu >= 0 ? step->gpu : asked_last;
    void *handle = handles[gpu];
    asked_last = gpu;
    switch (KNOWN[step->known].kind) {
    case OUT: call(handle, (uintptr_t)out, 0, 0, 0, 0); break;
    case SECOND: call(handle, KNOWN[step->known].argument, (uintptr_t)out, 0, 0, 0); break;
    case MEMORY:
        *(uint32_t *)out = 40 | 2 << 24;
        call(handle, (uintptr_t)out, 0, 0, 0, 0);
        break;
    case RING:
        code = call(handle, 1, seen_samples[gpu], (uintptr_t)&kind, (uintptr_t)&count, (uintptr_t)buffer);
        for (uint32_t row = 0; code == 0 && row < count; row++)
            if (buffer[row * 2] > seen_samples[gpu])
                seen_samples[gpu] = buffer[row * 2];
        break;
    case LIST: call(handle, (uintptr_t)&count, (uintptr_t)buffer, 0, 0, 0); break;
    case SHARES:
        code = call(handle, (uintptr_t)buffer, (uintptr_t)&count, seen_shares[gpu], 0, 0);
        for (uint32_t row = 0; code == 0 && row < count; row++)
            if (buffer[row * 4 + 1] > seen_shares[gpu])
                seen_shares[gpu] = buffer[row * 4 + 1];
        break;
    case INFOS:
        out[0] = (uint64_t)count << 32 | 0x01000018;
        out[1] = seen_shares[gpu];
        out[2] = (uintptr_t)buffer;
        call(handle, (uintptr_t)out, 0, 0, 0, 0);
        break;
    case ALLOC: call(&fresh, 0, 0, 0, 0, 0); break;
    case SAMPLE:
        call(handle, (uintptr_t)fresh, 0, 0, 0, 0);
        samples[gpu][0] = samples[gpu][1];
        samples[gpu][1] = fresh;
        break;
    case METRICS:
        if (!samples[gpu][0])
            break;
        metrics[0] = (uint64_t)1 << 32 | 1;
        metrics[1] = (uintptr_t)samples[gpu][0];
        metrics[2] = (uintptr_t)samples[gpu][1];
        metrics[3] = 2;
        call(metrics, 0, 0, 0, 0, 0);
        break;
    case RELEASE:
        if (samples[gpu][0])
            call(samples[gpu][0], 0, 0, 0, 0, 0);
        samples[gpu][0] = NULL;
        break;
    default: break;
    }
}

int main(int argc, char **argv)
{
    char line[256], name[128];
    double second;
    size_t made = 0, room = 1 << 20;
    struct step *steps = malloc(room * sizeof *steps);
    FILE *log = argc == 2 ? fopen(argv[1], "r") : NULL;
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!log || !library || !steps)
        return 64;
    while (made < room && fgets(line, sizeof line, log)) {
        int gpu = -1;
        if (sscanf(line, "%lf %127s gpu %d", &second, name, &gpu) < 2 || gpu >= MOST_GPUS)
            continue;
        for (size_t known = 0; known < COUNT; known++)
            if (!strcmp(name, KNOWN[known].name))
                steps[made++] = (struct step){second, known, gpu};
    }
    for (size_t known = 0; known < COUNT; known++)
        calls[known] = (call_t)dlsym(library, KNOWN[known].name);
    ((unsigned (*)(void))dlsym(library, "nvmlInit_v2"))();
    unsigned (*handle)(unsigned, void **) = dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
    for (unsigned gpu = 0; gpu < MOST_GPUS && handle(gpu, &handles[gpu]) == 0; gpu++)
        ;
    double began = now() - (made ? steps[0].second : 0);
    for (size_t step = 0; step < made; step++) {
        double ahead = steps[step].second - (now() - began);
        if (ahead > 0.002)
            poll(NULL, 0, (int)(ahead * 1e3));
        make(&steps[step]);
    }
    printf("%zu calls\n", made);
    return 0;
}
