import Glibc
public import Sealing
public import Syscalls
import SystemPackage

extension Password {
    public static let environmentVariable = "EFS_PASSWORD"

    /// The value of `EFS_PASSWORD`, nil if it is not set. Takes it out of the environment and wipes its memory, so that neither
    /// children nor /proc/self/environ show it. To be called while the process has one thread.
    public static func fromEnvironment() throws(Failure) -> SecretBytes? {
        guard let value = getenv(environmentVariable) else { return nil }
        let bytes = UnsafeMutableRawBufferPointer(start: value, count: strlen(value))
        defer {
            wipe(bytes)
            unsetenv(environmentVariable)
        }
        guard bytes.count <= largestSizeBytes else {
            throw Failure(.usage, "the password is longer than \(largestSizeBytes >> 10) KiB", object: environmentVariable)
        }
        return SecretBytes(copying: UnsafeRawBufferPointer(bytes))
    }

    /// The first line of a file. `warn` is told in one line if others than its owner have rights to it.
    public static func fromFile(_ path: String, warn: (String) -> Void = { _ in }) throws(Failure) -> SecretBytes {
        let file: OwnedDescriptor
        do { file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY) } catch {
            throw Failure(systemCall: "opening the password file", object: path, error)
        }
        if let status = try? file.status(), status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o077 != 0 {
            warn("others than its owner may open the password file \(path); 'chmod 600' keeps them out")
        }
        return try readLine(from: file.rawValue, object: path)
    }

    /// The first line that an open file descriptor gives. Nothing behind the line is read, and it stays open.
    public static func fromDescriptor(_ descriptor: Int32) throws(Failure) -> SecretBytes {
        guard descriptor >= 0 else { throw Failure(.usage, "\(descriptor) is no file descriptor") }
        return try readLine(from: descriptor, object: "file descriptor \(descriptor)")
    }

    static func readLine(from descriptor: Int32, object: String) throws(Failure) -> SecretBytes {
        try readLine(object: object) { (buffer) throws(Failure) in
            do throws(Errno) { return try retryingCount { Glibc.read(descriptor, buffer.baseAddress, buffer.count) } } catch {
                throw Failure(systemCall: "reading the password", object: object, error)
            }
        }
    }
}
