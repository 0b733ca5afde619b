/* Preloaded into the trainer: counts what it does to files below a directory, and at one of these operations ends the
 * process or reports a full disk. Only calls that go through the C library are seen, which is how Rust's standard
 * library makes them.
 *
 *   FAULT_UNDER  the directory; operations elsewhere are not counted
 *   FAULT_LOG    a file that gets a line per operation
 *   FAULT_AT     the operation, counted from 0, at which it happens
 *   FAULT_KIND   before, after: SIGKILL before or after the operation
 *                half: SIGKILL after half of a write
 *                full: from here on everything that needs space fails with ENOSPC
 *                read-only: from here on everything that changes a file or directory fails with EROFS
 *                clock: from here on the clock shows a day earlier
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NONE, BEFORE, AFTER, HALF, FULL, READ_ONLY, CLOCK };
enum { GO_ON, THEN_KILL, HALF_THEN_KILL, FAIL };

static atomic_long counter;
static long at = -1;
static int kind = NONE, log_fd = -1;
static char under[PATH_MAX];
static const char *const names[] = {"", "before", "after", "half", "full", "read-only", "clock"};

__attribute__((constructor)) static void start(void) {
  const char *value = getenv("FAULT_UNDER");
  if (value) snprintf(under, sizeof under, "%s", value);
  if ((value = getenv("FAULT_AT"))) at = atol(value);
  if ((value = getenv("FAULT_KIND")))
    for (kind = CLOCK; kind > NONE && strcmp(value, names[kind]); kind--) continue;
  if ((value = getenv("FAULT_LOG")))
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, value, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
}

static void end_process(void) {
  syscall(SYS_kill, (long)getpid(), (long)SIGKILL);
  for (;;) pause();
}

/* What is to happen at an operation on a path, which may be relative to a directory's descriptor. */
static int operation(const char *name, int directory, const char *path, int needs_space) {
  char full[2 * PATH_MAX], link[64];
  if (!under[0]) return GO_ON;
  if (path && path[0] == '/') {
    snprintf(full, sizeof full, "%s", path);
  } else {
    char place[PATH_MAX];
    ssize_t len;
    if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    len = readlink(link, place, sizeof place - 1);
    if (len < 0) return GO_ON;
    place[len] = 0;
    if (path) snprintf(full, sizeof full, "%s/%s", place, path);
    else snprintf(full, sizeof full, "%s", place);
  }
  if (strncmp(full, under, strlen(under))) return GO_ON;
  long number = atomic_fetch_add(&counter, 1);
  if (log_fd >= 0) {
    char line[2 * PATH_MAX + 64];
    int len = snprintf(line, sizeof line, "%s %s\n", name, full + strlen(under));
    syscall(SYS_write, log_fd, line, (size_t)len);
  }
  if (at < 0 || number < at) return GO_ON;
  if (kind == READ_ONLY || (kind == FULL && needs_space)) {
    errno = kind == FULL ? ENOSPC : EROFS;
    return FAIL;
  }
  if (kind == FULL || kind == CLOCK) return GO_ON;
  if (number > at) return GO_ON;
  if (kind == BEFORE) end_process();
  return kind == HALF ? HALF_THEN_KILL : THEN_KILL;
}

#define REAL(type, name, ...)                                 \
  static type (*real)(__VA_ARGS__);                           \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define AROUND(directory, path, needs_space, call)                        \
  do {                                                                    \
    int what = operation(__func__, directory, path, needs_space);         \
    if (what == FAIL) return -1;                                          \
    __auto_type result = call;                                            \
    if (what == THEN_KILL || what == HALF_THEN_KILL) end_process();       \
    return result;                                                        \
  } while (0)

ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  int what = operation("write", fd, NULL, 1);
  if (what == FAIL) return -1;
  if (what == HALF_THEN_KILL) { real(fd, bytes, count / 2); end_process(); }
  ssize_t result = real(fd, bytes, count);
  if (what == THEN_KILL) end_process();
  return result;
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  AROUND(fd, NULL, 1, real(fd, parts, count));
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t place) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  AROUND(fd, NULL, 1, real(fd, bytes, count, place));
}
int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  AROUND(AT_FDCWD, to, 0, real(from, to));
}
int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
  REAL(int, "linkat", int, const char *, int, const char *, int);
  AROUND(to_directory, to, 1, real(from_directory, from, to_directory, to, flags));
}
int link(const char *from, const char *to) {
  REAL(int, "link", const char *, const char *);
  AROUND(AT_FDCWD, to, 1, real(from, to));
}
int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  AROUND(AT_FDCWD, path, 0, real(path));
}
int unlinkat(int directory, const char *path, int flags) {
  REAL(int, "unlinkat", int, const char *, int);
  AROUND(directory, path, 0, real(directory, path, flags));
}
int rmdir(const char *path) {
  REAL(int, "rmdir", const char *);
  AROUND(AT_FDCWD, path, 0, real(path));
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  AROUND(AT_FDCWD, path, 1, real(path, mode));
}
int fsync(int fd) {
  REAL(int, "fsync", int);
  AROUND(fd, NULL, 1, real(fd));
}
int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  AROUND(fd, NULL, 1, real(fd));
}
int ftruncate64(int fd, off64_t len) {
  REAL(int, "ftruncate64", int, off64_t);
  AROUND(fd, NULL, 1, real(fd, len));
}
int clock_gettime(clockid_t clock, struct timespec *time) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  int result = real(clock, time);
  if (kind == CLOCK && clock == CLOCK_REALTIME && at >= 0 && atomic_load(&counter) > at) time->tv_sec -= 86400;
  return result;
}
int open64(const char *path, int flags, ...) {
  REAL(int, "open64", const char *, int, ...);
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (!(flags & (O_CREAT | O_TRUNC))) return real(path, flags, mode);
  AROUND(AT_FDCWD, path, 1, real(path, flags, mode));
}
