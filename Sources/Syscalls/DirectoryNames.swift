import Glibc
public import SystemPackage

/// readdir(3): the names in a directory but `.` and `..`, in no order. Names that are no UTF-8 come with replacement characters.
public func directoryNames(_ path: String, at directory: OwnedDescriptor? = nil) throws(Errno) -> [String] {
    let descriptor = openat(directory?.rawValue ?? AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard let stream = fdopendir(descriptor) else {
        let error = Errno.current
        if descriptor >= 0 { close(descriptor) }
        throw error
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}
