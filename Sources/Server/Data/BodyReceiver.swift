import FileSystem
import HTTPTypes
import HummingbirdCore
import NIOCore

/// Takes a request's body into a file without a name, in large steps; while one is written the next comes in. What is small enough stays in
/// memory for the one call that also gives it its name.
struct BodyReceiver {
    static let stepBytes = 1 << 20
    /// Steps that are being written at a time.
    private static let writingLimit = 2

    let fileSystem: ServedFileSystem
    let threads: EngineThreads
    /// Components of the directory that the file is to be in; it need not be there yet.
    let parent: ArraySlice<[UInt8]>
    let mode: UInt32
    let limitBytes: UInt64

    /// What arrived. Who gets it publishes or discards the file.
    struct Received: Sendable {
        /// Made when the first step was full.
        var inode: InodeID?
        /// What was not written yet, behind `writtenBytes`.
        var rest: ByteBuffer
        var writtenBytes: UInt64
    }

    /// Steps that engine threads have in their hands, the oldest first.
    private struct Writing {
        var steps: [Task<Result<Void, Problem>, Never>] = []

        mutating func wait(leaving count: Int) async throws(Problem) {
            while steps.count > count { try await steps.removeFirst().value.get() }
        }

        /// Whatever comes of them.
        mutating func drain() async {
            for step in steps { _ = await step.value }
            steps = []
        }
    }

    /// Reads to the end. Fails with `too-large`, `incomplete-body`, `digest-mismatch` and what writing says; nothing is left then.
    func receive(_ body: RequestBody, expected: UInt64?, digests: BodyDigests) async throws(Problem) -> Received {
        var received = Received(inode: nil, rest: ByteBuffer(), writtenBytes: 0)
        if let expected { received.rest.reserveCapacity(Int(min(expected, UInt64(Self.stepBytes)))) }
        var digests = digests
        var writing = Writing()
        do throws(Problem) {
            try await fill(&received, &writing, body, &digests)
            try await writing.wait(leaving: 0)
            let total = received.writtenBytes + UInt64(received.rest.readableBytes)
            if let expected, total != expected { throw Problem(.badRequest, "incomplete-body", "the body ended early") }
            try digests.check()
            return received
        } catch {
            await writing.drain()
            if let inode = received.inode {
                let fileSystem = fileSystem
                _ = try? await threads.run { () throws(Problem) in fileSystem.discard(inode) }
            }
            throw error
        }
    }

    private func fill(
        _ received: inout Received, _ writing: inout Writing, _ body: RequestBody, _ digests: inout BodyDigests
    ) async throws(Problem) {
        var parts = body.makeAsyncIterator()
        while true {
            var part: ByteBuffer
            do {
                guard let next = try await parts.next() else { return }
                part = next
            } catch { throw Problem(.badRequest, "incomplete-body", "the body did not arrive whole") }
            guard received.writtenBytes + UInt64(received.rest.readableBytes) + UInt64(part.readableBytes) <= limitBytes else {
                throw .tooLarge
            }
            digests.update(part)
            while let slice = part.readSlice(length: min(part.readableBytes, Self.stepBytes - received.rest.readableBytes)),
                slice.readableBytes > 0
            {
                received.rest.writeImmutableBuffer(slice)
                if received.rest.readableBytes == Self.stepBytes { try await writeStep(&received, &writing) }
            }
        }
    }

    private func writeStep(_ received: inout Received, _ writing: inout Writing) async throws(Problem) {
        try await writing.wait(leaving: Self.writingLimit - 1)
        let (bytes, offset, fileSystem, threads) = (received.rest, received.writtenBytes, fileSystem, threads)
        let inode = if let inode = received.inode { inode } else { try await makeFile() }
        received.inode = inode
        writing.steps.append(
            Task {
                do throws(Problem) {
                    return .success(try await threads.run { () throws(Problem) in try fileSystem.write(inode, at: offset, bytes) })
                } catch { return .failure(error) }
            })
        received.writtenBytes += UInt64(bytes.readableBytes)
        received.rest = ByteBuffer()
        received.rest.reserveCapacity(Self.stepBytes)
    }

    private func makeFile() async throws(Problem) -> InodeID {
        let (fileSystem, parent, mode) = (fileSystem, parent, mode)
        return try await threads.run { () throws(Problem) in
            try fileSystem.makeUnnamed(try fileSystem.nearestDirectory(parent), mode: mode)
        }
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
