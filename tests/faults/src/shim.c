/* Loaded before the C library of one sidecar. Files beside TEST_FLAGS say what its world is like:
 *   TEST_FLAGS.full       writes below TEST_PLACE find no room
 *   TEST_FLAGS.read-only  writes below TEST_PLACE find a file system that takes none
 *   TEST_FLAGS.clock      seconds by which the clock is off; TEST_FLAGS.clock-seen is written when it was read so */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int flagged(const char *name, char *path, size_t room) {
    const char *flags = getenv("TEST_FLAGS");
    if (!flags) return 0;
    snprintf(path, room, "%s.%s", flags, name);
    return access(path, F_OK) == 0;
}

/* 0, or the error that a write to this file ends with. */
static int refused(int fd) {
    char flag[4096], link[64], path[4096];
    int error = 0;
    const char *place = getenv("TEST_PLACE");
    if (!place) return 0;
    if (flagged("full", flag, sizeof flag)) error = ENOSPC;
    else if (flagged("read-only", flag, sizeof flag)) error = EROFS;
    if (!error) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, place, strlen(place)) == 0 ? error : 0;
}

#define GUARD(name, type, parameters, arguments) \
    type name parameters { \
        static type (*real) parameters; \
        int error = refused(fd); \
        if (error) { errno = error; return -1; } \
        if (!real) real = (type (*) parameters) dlsym(RTLD_NEXT, #name); \
        return real arguments; \
    }
GUARD(write, ssize_t, (int fd, const void *bytes, size_t count), (fd, bytes, count))
GUARD(pwrite, ssize_t, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at))
GUARD(pwrite64, ssize_t, (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
GUARD(ftruncate, int, (int fd, off_t length), (fd, length))
GUARD(ftruncate64, int, (int fd, off64_t length), (fd, length))
GUARD(fsync, int, (int fd), (fd))
GUARD(fdatasync, int, (int fd), (fd))

static long offset(void) {
    static volatile long known, looked;
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long tick = now.tv_sec * 50 + now.tv_nsec / 20000000;
    if (tick == looked) return known;
    looked = tick;
    char path[4096], text[32] = {0};
    long seconds = 0;
    if (flagged("clock", path, sizeof path)) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (read(fd, text, sizeof text - 1) > 0) seconds = atol(text);
            close(fd);
        }
    }
    if (seconds != known && seconds != 0 && strlen(path) + 8 < sizeof path) {
        strcat(path, "-seen");
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd >= 0) close(fd);
    }
    known = seconds;
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
