import FileSystem
import Glibc
import Sealing
import Syscalls
import SystemPackage
import Testing

@testable import Archive

/// Each cut and each changed byte of an archive gives an error of a sensible kind, and leaves nothing.
struct DamageTests {
    private static let content = (0..<333).map { UInt8(truncatingIfNeeded: $0 * $0 * 7 + $0 >> 3) }

    /// A small archive, sealed; and what opens it.
    private static func sample(_ name: String) throws(Failure) -> (bytes: [UInt8], opening: ArchiveOpening) {
        guard let format = ArchiveFormat(fileName: name) else { throw Failure(.usage, name) }
        let volume = try memoryFileSystem()
        let restorer = try TreeRestorer(VolumeStore(volume))
        try restorer.add(ArchiveEntry(path: Array("a".utf8), kind: .directory))
        try restorer.add(ArchiveEntry(path: Array("a/file".utf8), kind: .regular(sizeBytes: 333, dataRanges: nil)))
        try restorer.write(content, at: 0)
        try restorer.commit()
        let tar = MemorySink()
        let plain = ArchiveFormat(compression: format.compression, encryption: .none)
        _ = try ArchiveWriting(format: plain, sealing: .none) { Issue.record("\($0)") }.write(VolumeSource(volume) { _ in }, to: tar)
        switch format.encryption {
        case .none: return (tar.bytes, .none)
        case .aesCrypt:
            return (
                try made(tar.bytes) { (output) throws(Failure) in try AESCryptSink(output, password: secret("pw")) },
                .password(secret("pw"))
            )
        case .age:
            let bytes = try made(tar.bytes) { (output) throws(Failure) in try AgeSink(output, to: .password(secret("pw"), workFactor: 2)) }
            return (bytes, .password(secret("pw")))
        }
    }

    /// Restores into a volume that has something in it.
    private static func restore(_ bytes: [UInt8], _ name: String, _ opening: ArchiveOpening, _ scratch: ScratchDirectory) throws
        -> FailureKind?
    {
        let path = try scratch.write(bytes, to: name)
        let volume = try memoryFileSystem()
        let keep = try TreeRestorer(VolumeStore(volume))
        try keep.add(ArchiveEntry(path: Array("keep".utf8), kind: .fifo))
        try keep.commit()
        let before = try Snapshot(VolumeSource(volume) { _ in }).nodes.keys
        let result = kind { () throws(Failure) in
            _ = try ArchiveRestoring.restore(try ArchiveInput(path: path), with: opening, into: VolumeStore(volume))
        }
        let after = try Snapshot(VolumeSource(volume) { _ in }).nodes
        #expect(result == nil ? after.count == before.count + 2 : after.keys == before)
        if result == nil { #expect(after[Array("a/file".utf8)]?.content == content) }
        return result
    }

    private static let sensible: Set<FailureKind?> = [.damaged, .wrongPassword, .newerFormat]

    @Test(arguments: ["x.tar.gz.aes", "x.tar.zst.aes", "x.tar.aes", "x.tar.gz.age", "x.tar.age", "x.tar.zst.age"])
    func everyChangedByteOfAnEncryptedArchiveIsNoticed(name: String) throws {
        var random = SeededRandom("everyChangedByte \(name)")
        let (bytes, opening) = try Self.sample(name)
        let scratch = try ScratchDirectory()
        #expect(try Self.restore(bytes, name, opening, scratch) == nil)
        // Uncompressed tar is mostly zeros that all mean the same to the ciphers.
        let step = bytes.count > 4000 ? 7 : 1
        for index in stride(from: 0, to: bytes.count, by: step) {
            var changed = bytes
            changed[index] ^= 1 << UInt8(random.next() % 8)
            let result = try Self.restore(changed, name, opening, scratch)
            #expect(Self.sensible.contains(result), "byte \(index) of \(bytes.count): \(String(describing: result))")
        }
        for index in max(0, bytes.count - 40)..<bytes.count {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                let result = try Self.restore(changed, name, opening, scratch)
                #expect(Self.sensible.contains(result), "byte \(index) of \(bytes.count), bit \(bit): \(String(describing: result))")
            }
        }
    }

    @Test(arguments: ["x.tar.gz.aes", "x.tar.zst.aes", "x.tar.aes", "x.tar.gz.age", "x.tar.age", "x.tar.zst", "x.tar.gz", "x.tar"])
    func everyCutIsNoticed(name: String) throws {
        let (bytes, opening) = try Self.sample(name)
        let scratch = try ScratchDirectory()
        for count in 0..<bytes.count where bytes.count < 4000 || count % 512 == 0 || count % 31 == 0 {
            let result = try Self.restore(Array(bytes.prefix(count)), name, opening, scratch)
            // What tar fills its last record with is more than its end mark; nothing of the tree is in it.
            if name == "x.tar", count % 512 == 0, bytes[(count - min(count, 1024))...].allSatisfy({ $0 == 0 }), result == nil { continue }
            #expect(Self.sensible.contains(result), "\(count) of \(bytes.count): \(String(describing: result))")
        }
        for tail in [[UInt8](repeating: 0, count: 1), [1], [UInt8](repeating: 0, count: 16), [UInt8](repeating: 1, count: 512), bytes] {
            let result = try Self.restore(bytes + tail, name, opening, scratch)
            #expect(
                Self.sensible.contains(result) || name.hasSuffix("st") || name.hasSuffix("gz"),
                "\(tail.count): \(String(describing: result))")
        }
    }

    /// gzip and zstd have checksums of their content, but not of all of their headers.
    @Test(arguments: ["x.tar.gz", "x.tar.zst"]) func changedBytesOfACompressedArchiveNeverGiveOtherContent(name: String) throws {
        var random = SeededRandom("changedBytes \(name)")
        let (bytes, opening) = try Self.sample(name)
        let scratch = try ScratchDirectory()
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1 << UInt8(random.next() % 8)
            let result = try Self.restore(changed, name, opening, scratch)
            // Other bytes may mean the same: compressed data has many ways to say it.
            #expect(result == nil || Self.sensible.contains(result), "byte \(index)")
        }
    }

    @Test func anArchiveThatWasExchangedIsRefused() throws {
        let scratch = try ScratchDirectory()
        let plain = try Self.sample("x.tar.gz").bytes
        for name in ["x.tar.gz.aes", "x.tar.age", "unknown"] {
            #expect(try Self.restore(plain, name, .password(secret("pw")), scratch) == .damaged)
        }
        let sealed = try Self.sample("x.tar.gz.aes").bytes
        #expect(try Self.restore(sealed, "x.tar.gz.age", .password(secret("pw")), scratch) == .damaged)
        #expect(try Self.restore(sealed, "unknown", .password(secret("pw")), scratch) == nil)
        #expect(try Self.restore(sealed, "unknown", .password(secret("PW")), scratch) == .wrongPassword)
    }

    /// What comes through a pipe is verified before it is restored too.
    @Test(arguments: ["x.tar.gz.aes", "x.tar.gz.age"]) func pipesAreVerifiedToo(name: String) throws {
        let (bytes, opening) = try Self.sample(name)
        for isDamaged in [false, true] {
            var given = bytes
            if isDamaged { given[given.count - 50] ^= 1 }
            let scratch = try ScratchDirectory()
            let path = "\(scratch.path)/\(name)"
            #expect(mkfifo(path, 0o600) == 0)
            let writer = WorkerThread(name: "writer") { [given] in
                guard let file = try? OwnedDescriptor.open(path, O_WRONLY) else { return }
                let sink = DescriptorSink(file, name: path)
                // The reader may be gone by then.
                try? sink.write(given)
                try? sink.finish()
            }
            let result = kind { () throws(Failure) in
                _ = try ArchiveRestoring.restore(
                    try ArchiveInput(path: path), with: opening, into: DirectoryStore("\(scratch.path)/tree") { _ in })
            }
            writer.join()
            #expect(result == (isDamaged ? .damaged : nil))
            #expect(scratch.names == (isDamaged ? [name] : ["tree", name].sorted()))
        }
    }
}
