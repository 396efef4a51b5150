#define _GNU_SOURCE
#include "CSyscalls.h"
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <sys/xattr.h>

int efs_ioctl_pointer(int descriptor, unsigned long request, void *argument) {
    return ioctl(descriptor, request, argument);
}

int efs_open(int directory, const char *path, int flags, unsigned int mode) {
    return openat(directory, path, flags, mode);
}

int efs_fallocate(int descriptor, int mode, int64_t offset, int64_t length) {
    return fallocate(descriptor, mode, offset, length);
}

void efs_keep_freed_memory(int largest_block, int kept, int heaps) {
    mallopt(M_ARENA_MAX, heaps);
    mallopt(M_MMAP_THRESHOLD, largest_block);
    mallopt(M_TRIM_THRESHOLD, kept);
}

void efs_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}

int efs_prctl(int option, unsigned long argument) {
    return prctl(option, argument, 0UL, 0UL, 0UL);
}

char **efs_environment(void) {
    return environ;
}

long efs_getxattr(const char *path, const char *name, void *value, unsigned long size) { return getxattr(path, name, value, size); }

int efs_rename_new(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE); }
