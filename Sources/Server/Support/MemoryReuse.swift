import CSyscalls

/// How the process' allocator treats large buffers.
package enum MemoryReuse {
    /// Without this each buffer of a piece or step is mapped anew and its pages are zeroed by the kernel: for the memory as much work as the
    /// content itself. So buffers up to 4 MiB come from a heap, of which 32 MiB are kept; there are few heaps, since each keeps its own.
    package static func apply() { efs_keep_freed_memory(4 << 20, 32 << 20, 4) }
}
