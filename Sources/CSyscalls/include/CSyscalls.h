// Calls and constants of Linux that Swift's Glibc module cannot import: variadic calls and macros with casts.
#ifndef C_SYSCALLS_H
#define C_SYSCALLS_H

#include <stdint.h>
#include "Descriptors.h"
#include "Processes.h"
#include "Trees.h"

/// ioctl(2) with a pointer argument. Returns -1 and sets errno on failure.
int efs_ioctl_pointer(int descriptor, unsigned long request, void *argument);

/// openat(2) with its optional mode. Returns -1 and sets errno on failure.
int efs_open(int directory, const char *path, int flags, unsigned int mode);

/// fallocate(2). Returns -1 and sets errno on failure.
int efs_fallocate(int descriptor, int mode, int64_t offset, int64_t length);

/// mallopt(3): blocks up to `largest_block` bytes come from one of so many heaps, and `kept` free bytes at its end are kept.
void efs_keep_freed_memory(int largest_block, int kept, int heaps);

/// pthread_setname_np(3) of the calling thread: what `ps` and `perf` show, at most 15 bytes.
void efs_name_thread(const char *name);

/// prctl(2) with one argument, the others 0. Returns -1 and sets errno on failure.
int efs_prctl(int option, unsigned long argument);

/// getxattr(2), which Swift's Glibc module lacks. Returns -1 and sets errno on failure.
long efs_getxattr(const char *path, const char *name, void *value, unsigned long size);

/// renameat2(2) that never replaces (EEXIST), which Swift's Glibc module lacks. Returns -1 and sets errno on failure.
int efs_rename_new(const char *from, const char *to);

/// environ(7), which Swift cannot name, since it is a global variable. Ended by a null pointer.
char **efs_environment(void);

#endif
