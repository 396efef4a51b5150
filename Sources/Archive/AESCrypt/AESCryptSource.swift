import Crypto
import Glibc
public import Sealing
public import Syscalls

/// Decrypts AES Crypt's stream format, version 2. Memory: two blocks.
///
/// The format authenticates data only at its end, so all but the last block is given out unverified. Whoever acts on it must
/// either undo that when a later read fails, or have run `verify` over the same bytes before. Fails with `.wrongPassword` (also
/// for a damaged header: they cannot be told apart), `.damaged`, `.newerFormat`.
public final class AESCryptSource: ByteSource {
    private let input: any ByteSource
    private var cipher: CBCCipher
    private var code: HMAC<SHA256>
    /// Ciphertext that was read and not given on: at most a block, the trailer, and the byte that shows that more follows.
    private let sealed = StageBuffer(count: StageBuffer.blockSizeBytes + AESCryptFormat.trailerSizeBytes + 1)
    private var sealedCount = 0
    private let opened = StageBuffer()
    private var unread = 0..<0
    private var isAtEnd = false
    private let decrypts: Bool

    public convenience init(_ input: any ByteSource, password: SecretBytes) throws(Failure) {
        try self.init(input, password: password, decrypts: true)
    }

    /// Reads the whole stream, and returns if password and content are authentic.
    public static func verify(_ input: any ByteSource, password: SecretBytes) throws(Failure) {
        let source = try AESCryptSource(input, password: password, decrypts: false)
        while try source.openBlock() {}
    }

    private init(_ input: any ByteSource, password: SecretBytes, decrypts: Bool) throws(Failure) {
        self.input = input
        self.decrypts = decrypts
        try Self.readHeader(input)
        let outerIV = try input.read(exactly: AESCryptFormat.blockSizeBytes, "its header")
        var keys = try input.read(exactly: AESCryptFormat.sealedKeySizeBytes, "its header")
        let expected = try input.read(exactly: AESCryptFormat.codeSizeBytes, "its header")
        let passwordKey = try AESCryptFormat.key(of: password, iv: outerIV)
        let keyCode = HMAC<SHA256>.authenticationCode(
            for: keys, using: passwordKey.withUnsafeBytes { SymmetricKey(data: $0) })
        guard keyCode.withUnsafeBytes({ code in expected.withBytes { constantTimeEquals(code, $0) } }) else {
            throw Failure(
                .wrongPassword, "the archive does not open with this password",
                hint: "if the password is right, then the archive's header is damaged")
        }
        var outer = CBCCipher(key: passwordKey, iv: outerIV, encrypting: false)
        (cipher, code) = keys.withMutableBytes { keys in
            outer.process(keys)
            defer { wipe(keys) }
            let key = UnsafeRawBufferPointer(rebasing: keys[16...])
            return (CBCCipher(key: key, iv: [UInt8](keys[..<16]), encrypting: false), HMAC<SHA256>(key: SymmetricKey(data: key)))
        }
    }

    private static func readHeader(_ input: any ByteSource) throws(Failure) {
        let start = try input.read(exactly: AESCryptFormat.magic.count + 2, "its header")
        guard Array(start.prefix(3)) == AESCryptFormat.magic else { throw Failure(.damaged, "this is no AES Crypt stream") }
        guard start[3] == AESCryptFormat.version else {
            throw Failure(
                .newerFormat,
                "the archive is of version \(start[3]) of the AES Crypt format; this program reads version \(AESCryptFormat.version)",
                hint: "decrypt it with the program that made it")
        }
        guard start[4] == 0 else { throw Failure(.damaged, "the archive's header is damaged") }
        var extensionBytes = 0
        while true {
            let size = try input.read(exactly: 2, "its header")
            let count = Int(size[0]) << 8 | Int(size[1])
            if count == 0 { return }
            extensionBytes += count
            guard extensionBytes <= AESCryptFormat.extensionLimitBytes else {
                throw Failure(.damaged, "the archive's header is damaged: its extensions have no end")
            }
            _ = try input.read(exactly: count, "its header")
        }
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        var done = 0
        while done < buffer.count {
            if unread.isEmpty, try !openBlock() { break }
            let count = min(buffer.count - done, unread.count)
            UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                .copyMemory(from: UnsafeRawBufferPointer(opened[unread.lowerBound..<unread.lowerBound + count]))
            unread = unread.lowerBound + count..<unread.upperBound
            done += count
        }
        return done
    }

    /// False at the end.
    private func openBlock() throws(Failure) -> Bool {
        while !isAtEnd {
            sealedCount += try input.read(into: sealed[sealedCount..<sealed.count])
            let count = sealedCount == sealed.count ? StageBuffer.blockSizeBytes : try checkEnd()
            let plaintextCount = isAtEnd ? try plaintextCount(of: count) : count
            if !isAtEnd { code.update(data: UnsafeRawBufferPointer(sealed[0..<count])) }
            if decrypts {
                opened[0..<count].copyMemory(from: UnsafeRawBufferPointer(sealed[0..<count]))
                cipher.process(opened[0..<count])
                unread = 0..<plaintextCount
            }
            sealed.moveToStart(count..<sealedCount)
            sealedCount -= count
            if plaintextCount > 0 { return true }
        }
        return false
    }

    /// Verifies the stream's end, which `sealed` holds, before its last bytes are given out.
    /// - Returns: the bytes of the last block.
    private func checkEnd() throws(Failure) -> Int {
        isAtEnd = true
        let count = sealedCount - AESCryptFormat.trailerSizeBytes
        guard count >= 0, count % AESCryptFormat.blockSizeBytes == 0 else { throw Self.cut }
        code.update(data: UnsafeRawBufferPointer(sealed[0..<count]))
        let expected = UnsafeRawBufferPointer(sealed[count + 1..<sealedCount])
        guard code.finalize().withUnsafeBytes({ constantTimeEquals($0, expected) }) else {
            throw Failure(.damaged, "the archive is damaged: its authentication code does not fit its content")
        }
        return count
    }

    private func plaintextCount(of count: Int) throws(Failure) -> Int {
        let remainder = Int(sealed.bytes[count])
        guard remainder < AESCryptFormat.blockSizeBytes, remainder == 0 || count > 0 else {
            throw Failure(.damaged, "the archive is damaged: it has no valid length")
        }
        return remainder == 0 ? count : count - AESCryptFormat.blockSizeBytes + remainder
    }

    private static var cut: Failure { Failure(.damaged, "the archive is damaged: it is not whole") }
}
