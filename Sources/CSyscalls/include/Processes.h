#ifndef C_SYSCALLS_PROCESSES_H
#define C_SYSCALLS_PROCESSES_H

/// posix_spawn(3) of `path` in a session of its own, in `/`, with all signals at their defaults, nothing open but /dev/null as the
/// three standard streams and the descriptor `handover`, which it finds as `as` (3). Returns 0 or an error number.
int efs_spawn_detached(
    int *process, const char *path, int handover, int as, char *const *arguments, char *const *environment);

/// pidfd_open(2). The descriptor becomes readable when the process ends. Returns -1 and sets errno on failure.
int efs_pidfd_open(int process);

/// syncfs(2). Returns -1 and sets errno on failure.
int efs_syncfs(int descriptor);

#endif
