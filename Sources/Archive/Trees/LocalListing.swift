import Glibc
import Syscalls
import SystemPackage

/// The names in an open directory, a few at a time.
final class LocalListing {
    private let stream: OpaquePointer

    init(_ directory: OwnedDescriptor) throws(Errno) {
        // fdopendir(3) takes a descriptor over, so it gets one of its own, with a position of its own.
        let own = try LocalNode.open(Array(".".utf8), in: directory, O_RDONLY | O_DIRECTORY)
        let number = try retrying { fcntl(own.rawValue, F_DUPFD_CLOEXEC, 0) }
        guard let stream = fdopendir(number) else {
            let error = Errno.current
            close(number)
            throw error
        }
        self.stream = stream
    }

    deinit { closedir(stream) }

    /// The next name but "." and ".."; nil at the end.
    func next() throws(Errno) -> [UInt8]? {
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw Errno.current }
                return nil
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { [UInt8]($0.prefix { $0 != 0 }) }
            if !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8) { return name }
        }
    }
}
