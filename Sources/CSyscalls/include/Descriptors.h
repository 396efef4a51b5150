// Passing descriptors, pipes, and threads without signals.
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

/// Waits for one descriptor passed over a socket (SCM_RIGHTS); it gets O_CLOEXEC. Returns -1 and sets errno on failure,
/// also at the end of the stream.
int efs_receive_descriptor(int socket);

/// Adds O_NONBLOCK with fcntl(2). Returns -1 and sets errno on failure.
int efs_set_nonblocking(int descriptor);

/// pipe2(2). Returns -1 and sets errno on failure.
int efs_pipe(int ends[2], int flags);

/// The magic number of the file system that the file is on, of fstatfs(2); 0 on failure.
unsigned long efs_file_system_magic(int descriptor);

/// pthread_create(3) with all signals blocked in the new thread. Returns the error number, or 0.
int efs_thread_create(unsigned long *thread, void *(*body)(void *), void *argument);

#endif
