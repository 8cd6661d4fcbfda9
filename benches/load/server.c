/* An inference server for measuring load generators: one thread, requests answered in turn, each after a time of work.
 *
 * server MEAN_US  listens at a port of 127.0.0.1, which it prints, and answers every POST with 200 and a small JSON, GET of
 * /v1/models and of /metrics as vLLM does, so that its counters are watched, and anything else with 404. With MEAN_US 0 it answers at once. Else it works on one request at a time, for 0.5 to 1.5 of the mean, by a sequence that is the
 * same in each run; what waits for it waits in its own queue, so that its record is whole.
 *
 * Its record of a request goes from the moment at which its first bytes were read to the one at which its answer was
 * written. On a line of standard input "reset" it forgets what it recorded, on "record" it prints how many requests it
 * answered since, and the median, the 99th percentile and the largest of their times in microseconds, one line. It ends with
 * its input. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 4096
#define RECORDED 4000000
static const char ANSWER[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"text\":\"ok\"}";

enum kind { POST, MODELS, METRICS, OTHER };

struct connection {
    int is_open;
    enum kind kind;         /* of the request that is being read */
    size_t held;            /* bytes of a head that is not whole */
    size_t body_left;       /* bytes of the body still to come */
    int in_body;
    int64_t began;          /* of the request that is being read, ns; 0 between requests */
    char head[8192];
};

static struct connection connections[CONNECTIONS];
static int queue[CONNECTIONS], queue_first, queue_count;
static uint32_t *record;
static size_t recorded;
static int64_t mean_ns;
static int timer;
static uint64_t seed = 1;
static unsigned long long answered;

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void leave(int file)
{
    connections[file].is_open = 0;
    close(file);
}

/* What is not work is answered at once, and not recorded. */
static void answer_aside(int file)
{
    static char all[2048];
    char page[512] = "";
    const char *status = "200 OK", *media = "text/plain";
    int length = 0;
    switch (connections[file].kind) {
    case MODELS:
        media = "application/json";
        length = snprintf(page, sizeof page, "{\"object\":\"list\",\"data\":[{\"id\":\"asr\",\"object\":\"model\",\"owned_by\":\"vllm\"}]}");
        break;
    case METRICS:
        length = snprintf(page, sizeof page, "# TYPE vllm:request_success_total counter\n"
                          "vllm:request_success_total{finished_reason=\"stop\",model_name=\"asr\"} %llu.0\n", answered);
        break;
    default:
        status = "404 Not Found";
    }
    length = snprintf(all, sizeof all, "HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s",
                      status, media, length, page);
    connections[file].began = 0;
    if (write(file, all, (size_t)length) != length)
        leave(file);
}

static void answer(int file)
{
    struct connection *one = &connections[file];
    if (!one->is_open || one->began == 0)
        return;
    if (write(file, ANSWER, sizeof ANSWER - 1) != (ssize_t)sizeof ANSWER - 1) {
        leave(file);
        return;
    }
    int64_t took = now_ns() - one->began;
    if (recorded < RECORDED)
        record[recorded++] = (uint32_t)(took / 10);
    answered++;
    one->began = 0;
}

/* The next request in the queue is worked on. */
static void work(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    int64_t time = mean_ns / 2 + (int64_t)((seed >> 33) % (uint64_t)(mean_ns ? mean_ns : 1));
    struct itimerspec setting = { .it_value = { time / 1000000000, time % 1000000000 } };
    timerfd_settime(timer, 0, &setting, NULL);
}

static void whole(int file)
{
    if (connections[file].kind != POST) {
        answer_aside(file);
        return;
    }
    if (mean_ns == 0) {
        answer(file);
        return;
    }
    queue[(queue_first + queue_count++) % CONNECTIONS] = file;
    if (queue_count == 1)
        work();
}

/* Takes what came in; gives back 0 where it is no request. */
static int take(int file, const char *bytes, size_t length)
{
    struct connection *one = &connections[file];
    while (length > 0) {
        if (one->in_body) {
            size_t used = length < one->body_left ? length : one->body_left;
            one->body_left -= used, bytes += used, length -= used;
        } else {
            size_t room = sizeof one->head - 1 - one->held;
            size_t used = length < room ? length : room;
            if (used == 0)
                return 0;
            memcpy(one->head + one->held, bytes, used);
            one->head[one->held + used] = 0;
            char *end = strstr(one->head, "\r\n\r\n");
            if (end == NULL) {
                one->held += used, bytes += used, length -= used;
                continue;
            }
            size_t of_head = (size_t)(end - one->head) + 4 - one->held;
            char *field = strcasestr(one->head, "\r\ncontent-length:");
            one->body_left = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
            one->kind = strncmp(one->head, "POST ", 5) == 0 ? POST
                        : strncmp(one->head, "GET /metrics ", 13) == 0 ? METRICS
                        : strncmp(one->head, "GET /v1/models ", 15) == 0 ? MODELS : OTHER;
            one->in_body = 1, one->held = 0;
            bytes += of_head, length -= of_head;
        }
        if (one->in_body && one->body_left == 0) {
            one->in_body = 0;
            whole(file);
        }
    }
    return 1;
}

static int ascending(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

static void tell(void)
{
    qsort(record, recorded, sizeof *record, ascending);
    double at[3] = { 0.5, 0.99, 1.0 };
    printf("%zu", recorded);
    for (int n = 0; n < 3; n++) {
        size_t rank = recorded ? (size_t)(at[n] * (double)recorded + 0.999999) : 0;
        printf(" %.2f", rank ? record[rank - 1] / 100.0 : 0.0);
    }
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static char bytes[1 << 16];
    struct sockaddr_in place = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof place;
    struct epoll_event events[256], event = { .events = EPOLLIN };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0), yes = 1;
    mean_ns = argc > 1 ? atoll(argv[1]) * 1000 : 0;
    record = malloc(RECORDED * sizeof *record);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    if (!record || bind(listener, (struct sockaddr *)&place, sizeof place) < 0 || listen(listener, 1024) < 0
        || getsockname(listener, (struct sockaddr *)&place, &size) < 0)
        return 70;
    for (int n = 0, files[] = { listener, timer, 0 }; n < 3; n++) {
        event.data.fd = files[n];
        if (epoll_ctl(poll, EPOLL_CTL_ADD, files[n], &event) < 0)
            return 70;
    }
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poll, events, 256, -1);
        for (int n = 0; n < count; n++) {
            int file = events[n].data.fd;
            if (file == 0) {
                ssize_t length = read(0, bytes, sizeof bytes - 1);
                if (length <= 0)
                    return 0;
                bytes[length] = 0;
                if (strstr(bytes, "reset"))
                    recorded = 0;
                if (strstr(bytes, "record"))
                    tell();
            } else if (file == timer) {
                uint64_t expired;
                if (read(timer, &expired, sizeof expired) < 0 || queue_count == 0)
                    continue;
                int done = queue[queue_first];
                queue_first = (queue_first + 1) % CONNECTIONS;
                answer(done);
                if (--queue_count > 0)
                    work();
            } else if (file == listener) {
                int made = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (made < 0 || made >= CONNECTIONS) {
                    if (made >= 0)
                        close(made);
                    continue;
                }
                setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                memset(&connections[made], 0, offsetof(struct connection, head));
                connections[made].is_open = 1;
                event.data.fd = made;
                epoll_ctl(poll, EPOLL_CTL_ADD, made, &event);
            } else {
                ssize_t length = read(file, bytes, sizeof bytes);
                if (length < 0 && errno == EAGAIN)
                    continue;
                if (length > 0 && connections[file].began == 0)
                    connections[file].began = now_ns();
                if (length <= 0 || !take(file, bytes, (size_t)length))
                    leave(file);
            }
        }
    }
}
