/// A SHA-256 digest, or any other 32 bytes that name or check something public. Held in place: no allocation.
public struct Digest32: Hashable, Sendable, CustomStringConvertible {
    /// The bytes, eight each, as they lie in memory (no byte order is applied).
    @usableFromInline var words: (UInt64, UInt64, UInt64, UInt64)

    public static let sizeBytes = 32
    /// 32 zero bytes: the predecessor of the first in a chain.
    public static let zero = Digest32(words: (0, 0, 0, 0))

    @usableFromInline
    init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// Copies 32 bytes; nil if there are not exactly that many.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.sizeBytes else { return nil }
        words = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
    }

    /// Copies 32 bytes; nil if there are not exactly that many.
    public init?(_ bytes: [UInt8]) {
        guard let digest = bytes.withUnsafeBytes({ Digest32($0) }) else { return nil }
        self = digest
    }

    @inlinable
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        var copy = words
        return try Swift.withUnsafeBytes(of: &copy) { (bytes) throws(E) -> R in try body(bytes) }
    }

    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    @inlinable
    public static func == (a: Digest32, b: Digest32) -> Bool { a.words == b.words }

    @inlinable
    public func hash(into hasher: inout Hasher) { withUnsafeBytes { hasher.combine(bytes: $0) } }

    /// 64 hexadecimal digits.
    public var description: String { Hexadecimal.encode(bytes) }
}
