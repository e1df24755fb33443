/*
 * Preloaded into PostgreSQL, it makes each fdatasync take longer by SLOW_FSYNC_US microseconds, as on a disk that is
 * reached over a network. PostgreSQL on Linux flushes its log, and nothing else, with fdatasync: so commits wait, and
 * checkpoints do not. The work itself is done first, so nothing is less durable than it would be without this.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int sync_function(int);

static sync_function *next_fdatasync;
static struct timespec delay;

/* Once, before main: the server's processes are forked from the first one and find both set. */
__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("SLOW_FSYNC_US");
    long us = text ? strtol(text, NULL, 10) : 0;

    if (us > 0) {
        delay.tv_sec = us / 1000000;
        delay.tv_nsec = us % 1000000 * 1000;
    }
    next_fdatasync = (sync_function *)dlsym(RTLD_NEXT, "fdatasync");
}

int fdatasync(int fd)
{
    int result = next_fdatasync(fd);
    int error = errno;
    struct timespec left = delay;

    /* Signals are how PostgreSQL's processes wake each other. A disk would not be any faster for one. */
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    errno = error;
    return result;
}
