import Glibc
import Syscalls
package import SystemPackage

/// A handle of name_to_handle_at(2), which outlives the kernel's memory of the file.
package struct FileHandle {
    // struct file_handle: size u32, type i32, 128 bytes.
    private var bytes = [UInt8](repeating: 0, count: 136)

    package init?(_ path: String) {
        bytes[0] = 128
        var mount: CInt = 0
        let call = function(
            "name_to_handle_at",
            as: (@convention(c) (CInt, UnsafePointer<CChar>, UnsafeMutableRawPointer, UnsafeMutablePointer<CInt>, CInt) -> CInt).self)
        if call(AT_FDCWD, path, &bytes, &mount, 0) != 0 { return nil }
    }

    /// The content of the file, found by the handle alone.
    package func read(in mountPoint: String) throws(Errno) -> [UInt8] {
        let file = OwnedDescriptor(adopting: try open(in: mountPoint, O_RDONLY))
        return try withExtendedLifetime(file) { () throws(Errno) in try readAll("/proc/self/fd/\(file.rawValue)") }
    }

    /// open_by_handle_at(2); the descriptor is the caller's to close.
    package func open(in mountPoint: String, _ flags: CInt) throws(Errno) -> CInt {
        let mount = try openFile(mountPoint, O_RDONLY)
        var bytes = bytes
        let call = function(
            "open_by_handle_at", as: (@convention(c) (CInt, UnsafeMutableRawPointer, CInt) -> CInt).self)
        return try checked(call(mount.rawValue, &bytes, flags))
    }
}
