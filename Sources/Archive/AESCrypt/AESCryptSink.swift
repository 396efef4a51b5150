import Crypto
import Glibc
public import Sealing
public import Syscalls

/// Encrypts into AES Crypt's stream format, version 2. Memory: one block.
public final class AESCryptSink: ByteSink {
    private let output: any ByteSink
    private var cipher: CBCCipher
    private var code: HMAC<SHA256>
    private var gatherer = BlockGatherer(blockSizeBytes: StageBuffer.blockSizeBytes)
    private let block = StageBuffer()

    /// Writes the header at once.
    public init(_ output: any ByteSink, password: SecretBytes, random: RandomSource = .system) throws(Failure) {
        self.output = output
        let outerIV = random.bytes(count: AESCryptFormat.blockSizeBytes)
        let passwordKey = try AESCryptFormat.key(of: password, iv: outerIV)
        let iv = random.bytes(count: AESCryptFormat.blockSizeBytes)
        let key = random.secret(count: 32)
        cipher = CBCCipher(key: key, iv: iv, encrypting: true)
        code = HMAC(key: key.withUnsafeBytes { SymmetricKey(data: $0) })

        var outer = CBCCipher(key: passwordKey, iv: outerIV, encrypting: true)
        var sealed = iv + [UInt8](repeating: 0, count: 32)
        sealed.withMutableBytes { sealed in
            key.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: sealed[16...]).copyMemory(from: $0) }
            outer.process(sealed)
        }
        var keyCode = HMAC<SHA256>(key: passwordKey.withUnsafeBytes { SymmetricKey(data: $0) })
        keyCode.update(data: sealed)
        try output.write(
            AESCryptFormat.magic + [AESCryptFormat.version, 0] + [0, 0] + outerIV + sealed
                + keyCode.finalize().withUnsafeBytes { [UInt8]($0) })
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        try gatherer.add(bytes) { (plaintext) throws(Failure) in try put(plaintext, count: plaintext.count) }
    }

    public func finish() throws(Failure) {
        let rest = gatherer.last
        let remainder = rest.count % AESCryptFormat.blockSizeBytes
        try put(rest, count: rest.count + (remainder == 0 ? 0 : AESCryptFormat.blockSizeBytes - remainder))
        try output.write([UInt8(remainder)] + code.finalize().withUnsafeBytes { [UInt8]($0) })
        try output.finish()
    }

    /// Fills up to `count` with bytes that tell their number, as pyAesCrypt does.
    private func put(_ plaintext: UnsafeRawBufferPointer, count: Int) throws(Failure) {
        if count == 0 { return }
        let blocks = block[0..<count]
        blocks.copyMemory(from: plaintext)
        let filled = count - plaintext.count
        if filled > 0 { memset(blocks.baseAddress! + plaintext.count, Int32(filled), filled) }
        cipher.process(blocks)
        code.update(data: UnsafeRawBufferPointer(blocks))
        try output.write(UnsafeRawBufferPointer(blocks))
    }
}
