package import Glibc
package import Syscalls
package import SystemPackage

/// Throws the calling thread's errno if a call gave -1.
@discardableResult
package func checked<T: SignedInteger>(_ result: T) throws(Errno) -> T {
    if result < 0 { throw Errno(rawValue: errno) }
    return result
}

package func openFile(_ path: String, _ flags: CInt, mode: mode_t = 0o644) throws(Errno) -> OwnedDescriptor {
    try OwnedDescriptor.open(path, flags, mode: mode)
}

package func writeFile(_ path: String, _ content: [UInt8]) throws(Errno) {
    let file = try openFile(path, O_CREAT | O_TRUNC | O_WRONLY)
    try content.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
}

package func readFile(_ path: String) throws(Errno) -> [UInt8] {
    let file = try openFile(path, O_RDONLY)
    var content = [UInt8](repeating: 0, count: Int(try file.status().st_size) + 1)
    let count = try content.withMutableBytes { (bytes) throws(Errno) in try file.read(at: 0, into: bytes) }
    return Array(content.prefix(count))
}

package func status(_ path: String) throws(Errno) -> stat {
    var result = stat()
    try checked(lstat(path, &result))
    return result
}

package func names(in path: String) throws(Errno) -> [String] { [".", ".."] + (try directoryNames(path)) }

/// All of a file that has no size, as those of /proc.
package func readAll(_ path: String) throws(Errno) -> [UInt8] {
    let file = try openFile(path, O_RDONLY)
    var text: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = try checked(read(file.rawValue, &part, part.count))
        if count == 0 { return text }
        text += part[..<count]
    }
}
