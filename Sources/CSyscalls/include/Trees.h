// What copying trees needs: extended attributes, holes, renaming without replacing.
#ifndef C_SYSCALLS_TREES_H
#define C_SYSCALLS_TREES_H

#include <stdint.h>

/// lseek(2) with SEEK_DATA or SEEK_HOLE. Returns -1 and sets errno on failure.
int64_t efs_seek_data(int descriptor, int64_t offset);
int64_t efs_seek_hole(int descriptor, int64_t offset);

/// listxattr(2), getxattr(2) and setxattr(2) of an open file, or, if `path` is not null, of what it names, which may be a symbolic
/// link. Return -1 and set errno on failure.
long efs_list_xattr(int descriptor, const char *path, void *names, unsigned long size);
long efs_get_xattr(int descriptor, const char *path, const char *name, void *value, unsigned long size);
int efs_set_xattr(int descriptor, const char *path, const char *name, const void *value, unsigned long size);

/// renameat2(2) with RENAME_NOREPLACE. Returns -1 and sets errno on failure.
int efs_rename_no_replace(int directory, const char *name, int new_directory, const char *new_name);

/// An open flag and a device number, which are macros: O_TMPFILE; makedev(3), major(3), minor(3).
extern const int efs_open_unnamed;
uint64_t efs_make_device(unsigned int major, unsigned int minor);
unsigned int efs_device_major(uint64_t device);
unsigned int efs_device_minor(uint64_t device);

#endif
