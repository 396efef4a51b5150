#define _GNU_SOURCE
#include "CSyscalls.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

int efs_spawn_detached(int *process, const char *path, int handover, int as, char *const *arguments, char *const *environment) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int error;
    if ((error = posix_spawn_file_actions_init(&actions))) return error;
    if ((error = posix_spawnattr_init(&attributes))) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    sigemptyset(&none);
    sigfillset(&all);
    if (!(error = posix_spawn_file_actions_adddup2(&actions, handover, as))
        && !(error = posix_spawn_file_actions_addclosefrom_np(&actions, as + 1))
        && !(error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0))
        && !(error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0))
        && !(error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0))
        && !(error = posix_spawn_file_actions_addchdir_np(&actions, "/"))
        && !(error = posix_spawnattr_setsigmask(&attributes, &none))
        && !(error = posix_spawnattr_setsigdefault(&attributes, &all))
        && !(error = posix_spawnattr_setflags(
                 &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)))
        error = posix_spawn(process, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int efs_pidfd_open(int process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int efs_syncfs(int descriptor) { return syncfs(descriptor); }
