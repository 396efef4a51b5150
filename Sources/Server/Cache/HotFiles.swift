import FileSystem
import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization
import Syscalls
import SystemPackage

/// A small file that was asked for: where its path leads and what an answer says of it, for as long as nothing of that has changed. Its
/// content is in the decrypted cache, or it is not answered from here.
final class HotFile: Sendable {
    let path: RequestPath
    let attributes: Attributes
    let sight: FileSystem.Sight
    /// Of an answer with the whole content.
    let headers: HTTPHeaders
    /// In the audit log.
    let pseudonym: String

    init(path: RequestPath, attributes: Attributes, sight: FileSystem.Sight, pseudonym: String) {
        self.path = path
        self.attributes = attributes
        self.sight = sight
        self.pseudonym = pseudonym
        var headers = APIResponder.fileHeaders(attributes)
        headers[.contentLength] = String(attributes.sizeBytes)
        self.headers = HTTPHeaders(headers.map { ($0.name.rawName, $0.value) })
    }
}

/// The hot files of a file system, by their path as requests write it. Bounded. Thread-safe.
final class HotFiles: Sendable {
    private static let limit = 16_384
    private static let longestPathBytes = 1024

    private let files = Mutex<[String: HotFile]>([:])

    func find(_ encodedPath: String) -> HotFile? { files.withLock { $0[encodedPath] } }

    func insert(_ file: HotFile, as encodedPath: String) {
        guard encodedPath.utf8.count <= Self.longestPathBytes else { return }
        files.withLock { files in
            // Those that are asked for are soon here again.
            if files.count >= Self.limit { files.removeAll(keepingCapacity: true) }
            files[encodedPath] = file
        }
    }

    func clear() { files.withLock { $0 = [:] } }
}

extension ServedFileSystem {
    /// Remembers a small file that was just read, so that the next who asks for it by the same path is answered at once.
    func makeHot(_ path: RequestPath, _ encoded: Substring, _ opened: Opened) {
        guard !path.namesDirectory, let content = opened.content, content.readableBytes > 0, let found = try? look(at: path),
            found.attributes.inode == opened.attributes.inode, found.attributes.changeCounter == opened.attributes.changeCounter
        else { return }
        let file = HotFile(
            path: path, attributes: found.attributes, sight: found.sight, pseudonym: AuditLog.pseudonym(path, filenameSalt))
        hotFiles.insert(file, as: String(encoded))
    }

    /// Where the path leads, and the sight that says for how long; nil if it leads to no file, or others are just changing it.
    func look(at path: RequestPath) throws(Problem) -> (attributes: Attributes, sight: FileSystem.Sight)? {
        do throws(Errno) {
            let first = try inodes(on: path)
            let sight = files.sight(of: first)
            // Once more, now that changes show.
            guard try inodes(on: path) == first, let inode = first.last else { return nil }
            let attributes = try files.attributes(inode)
            guard attributes.type == .regular, observer?.mayHoldWrites(inode) != true else { return nil }
            return (attributes, sight)
        } catch { throw Problem(error) }
    }

    /// The root, and each that the path goes through.
    private func inodes(on path: RequestPath) throws(Errno) -> [InodeID] {
        var inodes = [InodeID.root]
        for component in path.components {
            let directory = inodes[inodes.count - 1]
            let next = try component.withBytes { (name) throws(Errno) in try files.lookup(directory, name, retaining: false).inode }
            inodes.append(next)
        }
        return inodes
    }
}
