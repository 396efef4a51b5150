#include "CSyscalls.h"
#include <sys/ioctl.h>

int efs_ioctl_pointer(int descriptor, unsigned long request, void *argument) {
    return ioctl(descriptor, request, argument);
}
