/// What an archive is made of, as its name says it: `.tar`, `.tar.gz` (`.tgz`), `.tar.zst` (`.tzst`), then perhaps `.aes` or `.age`.
public struct ArchiveFormat: Sendable, Equatable {
    public enum Compression: Sendable, Equatable { case none, gzip, zstd }
    public enum Encryption: Sendable, Equatable {
        case none
        /// AES Crypt stream format, version 2.
        case aesCrypt
        /// age, version 1.
        case age
    }

    public var compression: Compression
    public var encryption: Encryption

    public init(compression: Compression, encryption: Encryption) {
        self.compression = compression
        self.encryption = encryption
    }

    /// Nil if the name ends otherwise.
    public init?(fileName: String) {
        var name = fileName.lowercased()
        encryption = .none
        if name.hasSuffix(".aes") { encryption = .aesCrypt }
        if name.hasSuffix(".age") { encryption = .age }
        if encryption != .none { name.removeLast(4) }
        if name.hasSuffix(".tar") {
            compression = .none
        } else if name.hasSuffix(".tar.gz") || name.hasSuffix(".tgz") {
            compression = .gzip
        } else if name.hasSuffix(".tar.zst") || name.hasSuffix(".tzst") {
            compression = .zstd
        } else {
            return nil
        }
    }
}
