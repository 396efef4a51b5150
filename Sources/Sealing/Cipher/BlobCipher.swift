/// Seals and opens the units of one blob under the blob's own key. Thread-safe, without a lock: the expanded key is only read
/// once it is made, and all that belongs to one message lies on the caller's stack. Nothing is allocated per message.
public final class BlobCipher: Sendable {
    @usableFromInline let context: CipherContext

    public var suite: CipherSuite { context.suite }

    /// Expands the key; `key` itself is not kept.
    public init(suite: CipherSuite, key: SecretBytes) {
        context = key.withUnsafeBytes { CipherContext(suite: suite, key: $0) }
    }

    /// `key` is borrowed for the call.
    init(suite: CipherSuite, key: UnsafeRawBufferPointer) {
        context = CipherContext(suite: suite, key: key)
    }

    /// Lends the keyed state to `body`.
    @inlinable
    public func withContext<R, E: Error>(_ body: (CipherContext) throws(E) -> R) throws(E) -> R {
        try body(context)
    }
}
