public import Client
import NIOCore
import Sealing
import Synchronization
import Syscalls

/// Copies files and trees from one tree to another. Directories are walked one after the other, files go in parallel; memory
/// depends on the largest directory, not on the tree. A file that fails is told and the rest goes on.
public final class Copier<Source: Tree, Target: Tree>: Sendable {
    private let source: Source
    private let target: Target
    private let options: CopyOptions
    private let limit: BandwidthLimit?
    private let report: @Sendable (CopyEvent) -> Void
    private let summary = Mutex(CopySummary())

    /// `report` is called from several tasks.
    public init(_ source: Source, _ target: Target, _ options: CopyOptions, report: @escaping @Sendable (CopyEvent) -> Void) {
        self.source = source
        self.target = target
        self.options = options
        self.report = report
        limit = options.bandwidthBytes.map { BandwidthLimit(bytesPerSecond: $0) }
    }

    private func tell(_ event: CopyEvent) {
        summary.withLock { $0.count(event) }
        report(event)
    }

    /// Copies what is at `from` to be at `to`. Throws what stops the whole; single files' failures are in the summary.
    public func copy(_ from: RemotePath, to: RemotePath) async throws -> CopySummary {
        guard let entry = try await source.entry(from) else {
            throw Failure(.missing, "there is nothing of this name", object: source.display(from))
        }
        if entry.kind == .directory {
            guard options.isRecursive || options.isSync else {
                throw Failure(.usage, "this is a directory", object: source.display(from), hint: "-r copies directories")
            }
            try await copyTree(from, to)
        } else {
            await copyFile(Item(entry: entry, from: from, to: to, below: String(decoding: entry.name, as: UTF8.self)))
        }
        return summary.withLock { $0 }
    }

    private struct Item: Sendable {
        var entry: TreeEntry
        var from: RemotePath
        var to: RemotePath
        /// The path below the source, for patterns.
        var below: String
    }

    private func copyTree(_ from: RemotePath, _ to: RemotePath) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            var directories = [(from, to, "")]
            while let (from, to, below) = directories.popLast() {
                let items: [Item]
                do { items = try await prepare(from, to, below) } catch let failure as Failure {
                    tell(.failed(path: source.display(from), failure))
                    continue
                }
                for item in items {
                    if item.entry.kind == .directory {
                        directories.append((item.from, item.to, item.below + "/"))
                        continue
                    }
                    if running >= options.parallelCount { try await group.next() } else { running += 1 }
                    group.addTask { await self.copyFile(item) }
                }
                try Task.checkCancellation()
            }
            try await group.waitForAll()
        }
    }

    /// Lists a directory, makes it at the target, and removes there what the source lacks, if that is asked for.
    private func prepare(_ from: RemotePath, _ to: RemotePath, _ below: String) async throws -> [Item] {
        var items: [Item] = []
        var names: Set<[UInt8]> = []
        try await source.list(from) { page in
            for entry in page {
                names.insert(entry.name)
                let path = below + String(decoding: entry.name, as: UTF8.self)
                guard !Self.isPartial(entry.name), options.filter.takes(path, isDirectory: entry.kind == .directory) else { continue }
                items.append(Item(entry: entry, from: from.appending(entry.name), to: to.appending(entry.name), below: path))
            }
        }
        if !options.isDryRun { try await target.makeDirectory(to) }
        if options.isSync, !options.keepsExtra { try await removeExtra(to, below, keeping: names) }
        return items
    }

    /// What the filter leaves out is not touched at the target either.
    private func removeExtra(_ to: RemotePath, _ below: String, keeping names: Set<[UInt8]>) async throws {
        guard try await target.entry(to) != nil else { return }
        var extra: [TreeEntry] = []
        try await target.list(to) { page in
            extra += page.filter { entry in
                !names.contains(entry.name)
                    && options.filter.takes(below + String(decoding: entry.name, as: UTF8.self), isDirectory: entry.kind == .directory)
            }
        }
        for entry in extra {
            let path = to.appending(entry.name)
            do {
                if !options.isDryRun { try await target.remove(path, recursive: true) }
                tell(.removed(path: target.display(path)))
            } catch let failure as Failure {
                tell(.failed(path: target.display(path), failure))
            }
        }
    }

    /// A copy on its way, of this or another process.
    private static func isPartial(_ name: [UInt8]) -> Bool {
        name.first == UInt8(ascii: ".") && name.suffix(9).elementsEqual(".efs-part".utf8)
    }

    // MARK: One file

    private func copyFile(_ item: Item) async {
        let path = source.display(item.from)
        guard item.entry.kind == .file else {
            let what = item.entry.kind == .symlink ? "a symbolic link" : "neither file nor directory"
            return tell(.skipped(path: path, reason: what))
        }
        do {
            if options.isSync || options.comparesContents, try await isAlike(item) {
                return tell(.unchanged(path: path, size: item.entry.size))
            }
            tell(.began(path: path, size: item.entry.size))
            if !options.isDryRun { try await transfer(item) }
            tell(.copied(path: path, size: item.entry.size))
        } catch let failure as Failure {
            tell(.failed(path: path, failure))
        } catch is CancellationError {
            tell(.failed(path: path, Failure(.interrupted, "given up", object: path)))
        } catch {
            tell(.failed(path: path, Failure(.inputOutput, "\(error)", object: path)))
        }
    }

    private func transfer(_ item: Item) async throws {
        let attributes = FileAttributes(
            modified: item.entry.modified, modifiedNanoseconds: item.entry.modifiedNanoseconds, mode: item.entry.mode)
        let (source, limit, report) = (self.source, self.limit, self.report)
        let version = item.entry.version
        var content = FileContent { range, sink in
            // Nothing is left of it, but an empty file is looked at: it may have grown.
            if range.isEmpty, item.entry.size > 0 { return }
            try await source.read(item.from, range.isEmpty ? nil : range, version: version) { chunks in
                while let piece = try await Self.piece(chunks) {
                    try await limit?.take(piece.readableBytes)
                    try await sink(piece)
                    report(.moved(bytes: UInt64(piece.readableBytes)))
                }
            }
        }
        if source.isNear {
            content.digest = { range in try await source.digest(item.from, range.isEmpty ? nil : range, version: version) }
        }
        try await target.write(
            item.to, size: item.entry.size, attributes: attributes, resumeKey: "\(source.display(item.from))\u{0}\(version)", content)
    }

    /// The network brings 16 KiB at a time; larger pieces spare threads and system calls.
    private static func piece(_ chunks: any ChunkSource) async throws -> ByteBuffer? {
        guard var piece = try await chunks.next() else { return nil }
        while piece.readableBytes < BlockingCalls.pieceSizeBytes, var more = try await chunks.next() { piece.writeBuffer(&more) }
        return piece
    }

    private func isAlike(_ item: Item) async throws -> Bool {
        guard let there = try await target.entry(item.to), there.kind == .file, there.size == item.entry.size else { return false }
        if options.comparesContents {
            async let mine = source.digest(item.from, version: item.entry.version)
            let theirs = try await target.digest(item.to, version: there.version)
            return try await mine == theirs
        }
        // Some file systems keep whole seconds only.
        return there.modified == item.entry.modified
            && (there.modifiedNanoseconds == item.entry.modifiedNanoseconds || there.modifiedNanoseconds == 0
                || item.entry.modifiedNanoseconds == 0)
    }
}
