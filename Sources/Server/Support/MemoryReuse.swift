import CSyscalls

/// How the process' allocator treats large buffers.
package enum MemoryReuse {
    /// Without this each buffer of a piece or step is mapped anew and its pages are zeroed by the kernel: for the memory as much work as the
    /// content itself. So buffers up to this size come from the heap, and as much of it is kept.
    package static func apply() { efs_keep_freed_memory(4 << 20, 64 << 20) }
}
