#define _GNU_SOURCE
#include "Trees.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int64_t efs_seek_data(int descriptor, int64_t offset) {
    return lseek(descriptor, offset, SEEK_DATA);
}

int64_t efs_seek_hole(int descriptor, int64_t offset) {
    return lseek(descriptor, offset, SEEK_HOLE);
}

long efs_list_xattr(int descriptor, const char *path, void *names, unsigned long size) {
    return path ? llistxattr(path, names, size) : flistxattr(descriptor, names, size);
}

long efs_get_xattr(int descriptor, const char *path, const char *name, void *value, unsigned long size) {
    return path ? lgetxattr(path, name, value, size) : fgetxattr(descriptor, name, value, size);
}

int efs_set_xattr(int descriptor, const char *path, const char *name, const void *value, unsigned long size) {
    return path ? lsetxattr(path, name, value, size, 0) : fsetxattr(descriptor, name, value, size, 0);
}

int efs_rename_no_replace(int directory, const char *name, int new_directory, const char *new_name) {
    return renameat2(directory, name, new_directory, new_name, RENAME_NOREPLACE);
}

const int efs_open_unnamed = O_TMPFILE;

uint64_t efs_make_device(unsigned int major, unsigned int minor) {
    return makedev(major, minor);
}

unsigned int efs_device_major(uint64_t device) {
    return major(device);
}

unsigned int efs_device_minor(uint64_t device) {
    return minor(device);
}
