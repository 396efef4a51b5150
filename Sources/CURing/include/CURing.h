#ifndef CURING_H
#define CURING_H

#include <stddef.h>
#include <stdint.h>

// One io_uring of one thread that speaks FUSE over io_uring (include/uapi/linux/fuse.h, protocol 7.42; Documentation/filesystems/
// fuse/fuse-io-uring.rst). Debian 12's headers do not know it yet, so its structures are declared here.

/// struct fuse_uring_req_header: the part of a request or a reply that is not payload.
struct efs_uring_header {
    /// struct fuse_in_header, later struct fuse_out_header.
    uint8_t in_out[128];
    /// The operation's structure.
    uint8_t operation[128];
    /// struct fuse_uring_ent_in_out
    uint64_t flags;
    uint64_t commit_id;
    uint32_t payload_size;
    uint32_t padding;
    uint64_t reserved;
};

/// What a completion is of.
enum efs_uring_event { EFS_URING_REQUEST = 1, EFS_URING_WAKEUP = 2 };

struct efs_uring;

/// A ring for the calling thread alone; NULL with *error set (positive) if there is none to be had.
struct efs_uring *efs_uring_open(int *error);
void efs_uring_close(struct efs_uring *ring);

/// Queues that the entry with these buffers is to be registered with a queue of the connection. Both must live until the ring is closed.
void efs_uring_register(struct efs_uring *ring, int device, uint16_t queue, struct efs_uring_header *header, void *payload, size_t size);
/// Queues that the reply in the entry's buffers is to be taken and the next request brought.
void efs_uring_commit(struct efs_uring *ring, int device, uint16_t queue, uint64_t commit_id);
/// Queues a completion of kind EFS_URING_WAKEUP for when the descriptor becomes readable.
void efs_uring_watch(struct efs_uring *ring, int descriptor);
/// Hands over what was queued and waits for one completion. Gives 0, or an error number; the completion's result is what the kernel said.
int efs_uring_wait(struct efs_uring *ring, int *event, int *result);

/// Number of processors there may ever be, which is the number of queues of a connection; 0 if that cannot be told.
int efs_uring_queue_count(void);
/// Keeps the calling thread on one processor; returns 0, or an error number if it may not run there.
int efs_uring_pin(int processor);

#endif
