import Client

/// A path of this machine as the kernel takes it: bytes, which need not be UTF-8.
struct LocalPath: Sendable, Hashable, CustomStringConvertible {
    private(set) var bytes: [UInt8]

    init(_ text: String) { bytes = Array(text.utf8) }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private static let slash = UInt8(ascii: "/")

    /// With the 0 that ends it.
    var cString: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

    /// For people; bytes that are no UTF-8 are replaced.
    var description: String { String(decoding: bytes, as: UTF8.self) }

    func appending(_ name: [UInt8]) -> LocalPath {
        LocalPath(bytes: bytes + (bytes.last == Self.slash ? [] : [Self.slash]) + name)
    }

    func appending(_ path: RemotePath) -> LocalPath { path.components.reduce(self) { $0.appending($1) } }

    /// `.` for a name alone; `/` is its own.
    var parent: LocalPath {
        let trimmed = bytes.count > 1 && bytes.last == Self.slash ? bytes.dropLast() : bytes[...]
        guard let slash = trimmed.lastIndex(of: Self.slash) else { return LocalPath(".") }
        return slash == trimmed.startIndex ? LocalPath("/") : LocalPath(bytes: Array(trimmed[..<slash]))
    }
}
