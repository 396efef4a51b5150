import FileSystem
import HTTPTypes
import HummingbirdCore
import NIOCore

/// Takes a request's body into a file without a name, in large steps. What is small enough stays in memory for the one call that also
/// gives it its name.
struct BodyReceiver {
    static let stepBytes = 1 << 20

    let fileSystem: ServedFileSystem
    let threads: EngineThreads
    let directory: InodeID
    let mode: UInt32
    let group: UInt32
    let limitBytes: UInt64
    /// Grows with what arrives; nil if nothing is to be held against a quota, or its length was already.
    let claim: QuotaClaim?
    let notes: AccessNotes

    /// What arrived. Who gets it publishes or discards the file.
    struct Received: Sendable {
        /// Made when the first step was full.
        var inode: InodeID?
        /// What was not written yet, behind `writtenBytes`.
        var rest: ByteBuffer
        var writtenBytes: UInt64
    }

    /// Reads to the end. Fails with `too-large`, `incomplete-body`, `digest-mismatch` and what writing says; nothing is left then.
    func receive(_ body: RequestBody, expected: UInt64?, digests: BodyDigests) async throws(Problem) -> Received {
        var received = Received(inode: nil, rest: ByteBuffer(), writtenBytes: 0)
        if let expected { received.rest.reserveCapacity(Int(min(expected, UInt64(Self.stepBytes + 65536)))) }
        var digests = digests
        do throws(Problem) {
            try await fill(&received, body, &digests)
            let total = received.writtenBytes + UInt64(received.rest.readableBytes)
            if let expected, total != expected { throw Problem(.badRequest, "incomplete-body", "the body ended early") }
            try digests.check()
            return received
        } catch {
            if let inode = received.inode {
                let fileSystem = fileSystem
                _ = try? await threads.run { () throws(Problem) in fileSystem.discard(inode) }
            }
            throw error
        }
    }

    private func fill(_ received: inout Received, _ body: RequestBody, _ digests: inout BodyDigests) async throws(Problem) {
        var parts = body.makeAsyncIterator()
        while true {
            let part: ByteBuffer?
            do { part = try await parts.next() } catch { throw .cutBody(error) }
            guard let part else { return }
            guard received.writtenBytes + UInt64(received.rest.readableBytes) + UInt64(part.readableBytes) <= limitBytes else {
                throw .tooLarge
            }
            try claim?.grow(by: UInt64(part.readableBytes))
            notes.add(received: part.readableBytes)
            digests.update(part)
            received.rest.writeImmutableBuffer(part)
            if received.rest.readableBytes >= Self.stepBytes { try await writeStep(&received) }
        }
    }

    private func writeStep(_ received: inout Received) async throws(Problem) {
        let (inode, bytes, offset) = (received.inode, received.rest, received.writtenBytes)
        let (fileSystem, directory, mode, group) = (fileSystem, directory, mode, group)
        received.inode = try await threads.run { () throws(Problem) in
            let file = if let inode { inode } else { try fileSystem.makeUnnamed(directory, mode: mode, group: group) }
            do throws(Problem) { try fileSystem.write(file, at: offset, bytes) } catch {
                if inode == nil { fileSystem.discard(file) }
                throw error
            }
            return file
        }
        received.writtenBytes += UInt64(bytes.readableBytes)
        received.rest = ByteBuffer()
        received.rest.reserveCapacity(Self.stepBytes + 65536)
    }
}

extension ServedFileSystem {
    /// All readable bytes of the buffer.
    func write(_ inode: InodeID, at offset: UInt64, _ buffer: ByteBuffer) throws(Problem) {
        guard buffer.readableBytes > 0 else { return }
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<Void, Problem> in
            do throws(Problem) { return .success(try write(inode, at: offset, bytes)) } catch { return .failure(error) }
        }
        try result.get()
    }
}
