import Sealing

/// A path on a server: components of 1 to 255 bytes, from the root. `.` and `..` are resolved when it is made, so none is in it.
public struct RemotePath: Hashable, Sendable, CustomStringConvertible {
    public private(set) var components: [[UInt8]]

    public static let root = RemotePath(components: [])

    public init(components: [[UInt8]]) { self.components = components }

    /// From a text as a person types it: with or without a slash at the start or the end.
    public init(_ text: some StringProtocol) { self = RemotePath.root.resolving(Array(text.utf8)) }

    /// `text` seen from here; from the root if it begins with a slash. `..` at the root stays there.
    public func resolving(_ text: [UInt8]) -> RemotePath {
        var result = text.first == UInt8(ascii: "/") ? [] : components
        for part in text.split(separator: UInt8(ascii: "/")) {
            if part.elementsEqual([UInt8(ascii: ".")]) { continue }
            if part.elementsEqual([UInt8(ascii: "."), UInt8(ascii: ".")]) { _ = result.popLast() } else { result.append(Array(part)) }
        }
        return RemotePath(components: result)
    }

    public func resolving(_ text: String) -> RemotePath { resolving(Array(text.utf8)) }

    public func appending(_ name: [UInt8]) -> RemotePath { RemotePath(components: components + [name]) }

    /// The root is its own parent.
    public var parent: RemotePath { RemotePath(components: components.dropLast()) }

    /// Empty at the root.
    public var name: [UInt8] { components.last ?? [] }

    public var isRoot: Bool { components.isEmpty }

    /// From its percent-encoded form; nil if that is broken, or a component cannot be a name.
    public init?(percentEncoded text: some StringProtocol) {
        var result: [[UInt8]] = []
        for part in text.utf8.split(separator: UInt8(ascii: "/")) {
            var name: [UInt8] = []
            var rest = part.makeIterator()
            while let byte = rest.next() {
                guard byte == UInt8(ascii: "%") else {
                    name.append(byte)
                    continue
                }
                guard let high = rest.next(), let low = rest.next(),
                    let decoded = Hexadecimal.decode(String(decoding: [high, low], as: UTF8.self))
                else { return nil }
                name += decoded
            }
            guard !name.contains(0), !name.contains(UInt8(ascii: "/")), !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8)
            else { return nil }
            result.append(name)
        }
        self.init(components: result)
    }

    /// Whether a text can say it.
    public var isUTF8: Bool { components.allSatisfy { String(validating: $0, as: UTF8.self) != nil } }

    /// `/a/b`, for people; bytes that are no UTF-8 are replaced.
    public var description: String { "/" + components.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/") }

    /// The path as the server's URLs have it, with a slash at the start and, for the root, at the end (RFC 3986, unreserved
    /// characters as they are).
    public var percentEncoded: String {
        guard !components.isEmpty else { return "/" }
        var text: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for component in components {
            text.append(UInt8(ascii: "/"))
            for byte in component {
                if Self.isUnreserved(byte) {
                    text.append(byte)
                } else {
                    text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
                }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
