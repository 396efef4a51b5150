import HTTPTypes
import Syscalls

/// A path in a file system, as components of raw bytes: checked, so nothing of it can lead elsewhere.
struct RequestPath: Sendable, Hashable {
    private(set) var components: [[UInt8]]
    /// Written with a final slash.
    private(set) var namesDirectory: Bool

    static let largestSizeBytes = 4096
    static let largestComponentBytes = 255
    /// The server's own directory in each volume.
    static let ownDirectory = Array(".efs-server".utf8)

    static let root = RequestPath(components: [], namesDirectory: true)

    var isRoot: Bool { components.isEmpty }
    /// Whether it is in the server's own directory.
    var isReserved: Bool { components.first == Self.ownDirectory }
    var parent: ArraySlice<[UInt8]> { components.dropLast() }

    /// `/a/b`, for the audit log's pseudonyms and for answers; bytes that are not UTF-8 become replacement characters.
    var text: String { "/" + components.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/") }
    var bytes: [UInt8] { components.flatMap { [UInt8(ascii: "/")] + $0 } }

    /// What follows `/v1/data` in a request's target, still percent-encoded: empty, or beginning with a slash.
    static func parse(encoded: Substring.UTF8View) throws(Problem) -> RequestPath {
        guard encoded.count <= 3 * largestSizeBytes else { throw bad("the path is too long") }
        var path = RequestPath(components: [], namesDirectory: true)
        var bytes = encoded.makeIterator()
        guard let first = bytes.next() else { return path }
        guard first == slash else { throw bad("a path begins with '/'") }
        var component: [UInt8] = []
        var total = 1
        while let byte = bytes.next() {
            if byte == slash {
                try path.append(component)
                component = []
                total += 1
                continue
            }
            var value = byte
            if byte == percent {
                guard let high = bytes.next().flatMap(digit), let low = bytes.next().flatMap(digit) else {
                    throw bad("the percent-encoding is broken")
                }
                value = high << 4 | low
                guard value != slash, value != 0 else { throw bad("'/' and NUL cannot be in a name") }
            }
            component.append(value)
            total += 1
            guard total <= largestSizeBytes else { throw bad("the path is too long") }
        }
        path.namesDirectory = component.isEmpty
        if !component.isEmpty { try path.append(component) }
        return path
    }

    /// A path as text, as in JSON bodies and grants: beginning with a slash, nothing encoded.
    static func parse(text: String) throws(Problem) -> RequestPath { try parse(bytes: Array(text.utf8)) }

    /// A path as bytes, nothing encoded.
    static func parse(bytes: [UInt8]) throws(Problem) -> RequestPath {
        guard bytes.first == slash else { throw bad("a path begins with '/'") }
        guard bytes.count <= largestSizeBytes else { throw bad("the path is too long") }
        var path = RequestPath(components: [], namesDirectory: bytes.last == slash)
        for component in bytes.dropFirst().split(separator: slash, omittingEmptySubsequences: false) {
            if component.isEmpty, component.endIndex == bytes.endIndex { break }
            guard !component.contains(0) else { throw bad("'/' and NUL cannot be in a name") }
            try path.append(Array(component))
        }
        return path
    }

    /// As `parse(text:)`, for the administrator.
    static func parse(plain text: String) throws(Failure) -> RequestPath {
        do { return try parse(text: text) } catch { throw Failure(.usage, error.detail, object: text) }
    }

    private mutating func append(_ component: [UInt8]) throws(Problem) {
        guard !component.isEmpty else { throw Self.bad("a component is empty") }
        guard component.count <= Self.largestComponentBytes else { throw Self.bad("a component has more than 255 bytes") }
        guard component != [Self.dot], component != [Self.dot, Self.dot] else { throw Self.bad("'.' and '..' are no names") }
        components.append(component)
    }

    private static let slash = UInt8(ascii: "/")
    private static let dot = UInt8(ascii: ".")
    private static let percent = UInt8(ascii: "%")

    private static func bad(_ detail: String) -> Problem { Problem(.badRequest, "bad-path", detail) }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
