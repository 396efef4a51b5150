#define _GNU_SOURCE
#include "CURing.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { FUSE_IO_URING_CMD_REGISTER = 1, FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2 };

/// struct fuse_uring_cmd_req, in the command area of a large submission entry.
struct uring_command {
    uint64_t flags;
    uint64_t commit_id;
    uint16_t queue;
    uint8_t padding[6];
};

_Static_assert(sizeof(struct efs_uring_header) == 288, "as the kernel's structure");
_Static_assert(sizeof(struct uring_command) == 24, "as the kernel's structure");

struct efs_uring {
    struct io_uring ring;
    struct iovec buffers[2];
};

struct efs_uring *efs_uring_open(int *error) {
    struct efs_uring *self = calloc(1, sizeof *self);
    if (!self) {
        *error = ENOMEM;
        return NULL;
    }
    struct io_uring_params parameters;
    memset(&parameters, 0, sizeof parameters);
    // One thread submits and waits, so completions need interrupt nobody: they are run when it waits.
    parameters.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int result = io_uring_queue_init_params(4, &self->ring, &parameters);
    if (result < 0) {
        *error = -result;
        free(self);
        return NULL;
    }
    return self;
}

void efs_uring_close(struct efs_uring *self) {
    io_uring_queue_exit(&self->ring);
    free(self);
}

static struct io_uring_sqe *command(struct efs_uring *self, int device, uint16_t queue, uint64_t commit_id, uint32_t operation) {
    // The ring holds more entries than are ever queued between two waits.
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    memset(entry, 0, 2 * sizeof *entry);
    entry->opcode = IORING_OP_URING_CMD;
    entry->fd = device;
    entry->cmd_op = operation;
    entry->user_data = EFS_URING_REQUEST;
    struct uring_command *body = (struct uring_command *)entry->cmd;
    body->queue = queue;
    body->commit_id = commit_id;
    return entry;
}

void efs_uring_register(struct efs_uring *self, int device, uint16_t queue, struct efs_uring_header *header, void *payload, size_t size) {
    self->buffers[0] = (struct iovec){header, sizeof *header};
    self->buffers[1] = (struct iovec){payload, size};
    struct io_uring_sqe *entry = command(self, device, queue, 0, FUSE_IO_URING_CMD_REGISTER);
    entry->addr = (uintptr_t)self->buffers;
    entry->len = 2;
}

void efs_uring_commit(struct efs_uring *self, int device, uint16_t queue, uint64_t commit_id) {
    command(self, device, queue, commit_id, FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
}

void efs_uring_watch(struct efs_uring *self, int descriptor) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&self->ring);
    memset(entry, 0, 2 * sizeof *entry);
    io_uring_prep_poll_add(entry, descriptor, POLLIN);
    entry->user_data = EFS_URING_WAKEUP;
}

int efs_uring_wait(struct efs_uring *self, int *event, int *result) {
    struct io_uring_cqe *completion;
    // Always hands over first: a reply that waits here is a program that waits.
    while (io_uring_sq_ready(&self->ring) > 0 || io_uring_cq_ready(&self->ring) == 0) {
        int count = io_uring_submit_and_wait(&self->ring, 1);
        if (count < 0 && count != -EINTR && count != -EAGAIN) return -count;
    }
    io_uring_peek_cqe(&self->ring, &completion);
    *event = (int)completion->user_data;
    *result = completion->res;
    io_uring_cqe_seen(&self->ring, completion);
    return 0;
}

int efs_uring_queue_count(void) {
    // "0-3" or "0-1,4-7": the kernel makes a queue for each of them.
    FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
    if (!file) return 0;
    char line[256];
    const char *at = fgets(line, sizeof line, file);
    fclose(file);
    int count = 0;
    while (at) {
        int first, last, length = 0;
        if (sscanf(at, "%d%n", &first, &length) != 1) break;
        last = first;
        at += length;
        if (*at == '-' && sscanf(at, "-%d%n", &last, &length) == 1) at += length;
        if (first < 0 || last < first || last >= 4096) return 0;
        count += last - first + 1;
        at = *at == ',' ? at + 1 : NULL;
    }
    return count;
}

int efs_uring_pin(int processor) {
    cpu_set_t allowed;
    cpu_set_t one;
    if (processor >= CPU_SETSIZE) return EINVAL;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return errno;
    if (!CPU_ISSET(processor, &allowed)) return EINVAL;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0 ? 0 : errno;
}
