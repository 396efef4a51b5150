public import Sealing
public import Syscalls

/// The payload of an age file: blocks of 64 KiB, each with its tag; the last one is marked in its nonce.
enum AgePayload {
    static let blockSizeBytes = 64 << 10
    static let nonceSizeBytes = 16

    static func key(_ fileKey: SecretBytes, nonce: [UInt8]) -> SecretBytes {
        KeyDerivation.derive(from: fileKey, salt: nonce, info: Array("payload".utf8))
    }
}

/// Whom an age file is sealed to.
public enum AgeSealing: Sendable {
    /// - Parameter workFactor: the base-two logarithm of what scrypt costs. 18, which age writes too, is 256 MiB and about a second.
    case password(SecretBytes, workFactor: Int = 18)
    /// At least one.
    case recipients([AgeRecipient])
}

/// What opens an age file.
public enum AgeOpening: Sendable {
    case password(SecretBytes)
    case identities([AgeIdentity])
}

/// Encrypts into the age format, version 1. Memory: two blocks.
public final class AgeSink: ByteSink {
    private let output: any ByteSink
    private let key: SecretBytes
    private var gatherer = BlockGatherer(blockSizeBytes: AgePayload.blockSizeBytes)
    private let block = StageBuffer(count: AgePayload.blockSizeBytes + AgeCipher.tagSizeBytes)
    private var index: UInt64 = 0

    /// Writes the header at once.
    public init(_ output: any ByteSink, to sealing: AgeSealing, random: RandomSource = .system) throws(Failure) {
        self.output = output
        let fileKey = random.secret(count: AgeHeader.fileKeySizeBytes)
        var stanzas: [AgeHeader.Stanza] = []
        switch sealing {
        case .password(let password, let workFactor):
            stanzas = [try AgePassword.stanza(fileKey, password: password, workFactor: workFactor, random: random)]
        case .recipients(let recipients):
            precondition(!recipients.isEmpty, "an age file has a recipient")
            for recipient in recipients { stanzas.append(try recipient.stanza(fileKey, random: random)) }
        }
        try output.write(AgeHeader(stanzas: stanzas).encoded(fileKey: fileKey))
        let nonce = random.bytes(count: AgePayload.nonceSizeBytes)
        key = AgePayload.key(fileKey, nonce: nonce)
        try output.write(nonce)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        try gatherer.add(bytes) { (plaintext) throws(Failure) in try put(plaintext, isLast: false) }
    }

    public func finish() throws(Failure) {
        try put(gatherer.last, isLast: true)
        try output.finish()
    }

    private func put(_ plaintext: UnsafeRawBufferPointer, isLast: Bool) throws(Failure) {
        let sealed = block[0..<plaintext.count + AgeCipher.tagSizeBytes]
        sealed.copyMemory(from: plaintext)
        AgeCipher.seal(sealed, key: key, nonce: AgeCipher.nonce(block: index, isLast: isLast))
        index += 1
        try output.write(UnsafeRawBufferPointer(sealed))
    }
}

/// Decrypts the age format, version 1. Memory: one block. Each byte that is given out is authentic, and the end is known to be
/// the end. Fails with `.wrongPassword`, `.damaged`, `.newerFormat`.
public final class AgeSource: ByteSource {
    private let input: any ByteSource
    private let key: SecretBytes
    /// A sealed block, and the byte that shows that another follows.
    private let block = StageBuffer(count: AgePayload.blockSizeBytes + AgeCipher.tagSizeBytes + 1)
    private var heldCount = 0
    private var unread = 0..<0
    private var index: UInt64 = 0
    private var isAtEnd = false

    public init(_ input: any ByteSource, with opening: AgeOpening) throws(Failure) {
        let buffered = input as? BufferedSource ?? BufferedSource(input)
        self.input = buffered
        let header = try AgeHeader(reading: buffered)
        let fileKey = try Self.fileKey(header, opening)
        try header.verify(fileKey: fileKey)
        key = AgePayload.key(fileKey, nonce: try buffered.read(exactly: AgePayload.nonceSizeBytes, "its header"))
    }

    private static func fileKey(_ header: AgeHeader, _ opening: AgeOpening) throws(Failure) -> SecretBytes {
        switch opening {
        case .password(let password): return try AgePassword.open(header, password: password)
        case .identities(let identities):
            if header.stanzas.contains(where: { $0.type == AgePassword.type }) {
                guard header.stanzas.count == 1 else {
                    throw Failure(.damaged, "the archive's header is damaged: it names keys beside a password")
                }
                throw Failure(.wrongPassword, "the archive is sealed with a password, not to a key", hint: "give the password instead")
            }
            for identity in identities {
                if let fileKey = try identity.open(header) { return fileKey }
            }
            throw Failure(.wrongPassword, "the archive is not sealed to this key", hint: "name the file of another key with --identity")
        }
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        var done = 0
        while done < buffer.count {
            if unread.isEmpty {
                if isAtEnd { break }
                try openBlock()
                continue
            }
            let count = min(buffer.count - done, unread.count)
            UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                .copyMemory(from: UnsafeRawBufferPointer(block[unread.lowerBound..<unread.lowerBound + count]))
            unread = unread.lowerBound + count..<unread.upperBound
            done += count
        }
        return done
    }

    private func openBlock() throws(Failure) {
        // The byte that showed that this block follows.
        block.moveToStart(block.count - heldCount..<block.count)
        let count = heldCount + (try input.read(into: block[heldCount..<block.count]))
        isAtEnd = count < block.count
        heldCount = isAtEnd ? 0 : 1
        let sealed = block[0..<count - heldCount]
        guard AgeCipher.open(sealed, key: key, nonce: AgeCipher.nonce(block: index, isLast: isAtEnd)) else {
            throw Failure(.damaged, "the archive is damaged, or is not whole: a block at \(index * 64) KiB of its content is not authentic")
        }
        let plaintextCount = sealed.count - AgeCipher.tagSizeBytes
        guard plaintextCount > 0 || index == 0 else { throw Failure(.damaged, "the archive is damaged: its last block is empty") }
        unread = 0..<plaintextCount
        index += 1
    }
}
