/// The place of a sealed unit in its blob, which is also its nonce: `frame` as 8 and `block` as 4 little-endian bytes.
/// A blob's key is its own and it never seals two units at one place, so no nonce is used twice under a key.
public struct SealingNonce: Equatable, Sendable {
    public var frame: UInt64
    public var block: UInt32

    @inlinable
    public init(frame: UInt64, block: UInt32) {
        self.frame = frame
        self.block = block
    }
}
