/// The alphabet of which histories are made. Each step names the files that it works on, so that three steps get in each other's way.
enum CrashStep: String, CaseIterable, Sendable {
    case create, write, overwrite, append, truncateDown, truncateUp, renameOver, link, unlink, makeDirectory
    case syncFile, syncDirectory, sync, checkpoint, compact, clean, changePassword, remount

    /// `EFS_TEST_SEQUENCE=create,write,sync` names one.
    static func sequence(_ text: String) -> [CrashStep]? {
        let steps = text.split(separator: ",").map { CrashStep(rawValue: String($0)) }
        return steps.contains(nil) || steps.isEmpty ? nil : steps.compactMap { $0 }
    }

    static func text(_ steps: [CrashStep]) -> String { steps.map(\.rawValue).joined(separator: ",") }
}

/// What a volume holds, as a program sees it.
struct CrashTree: Equatable, Sendable, CustomStringConvertible {
    struct Entry: Equatable, Sendable {
        /// Nil for a directory.
        var content: [UInt8]?
        var linkCount: Int
        var permissions: Int
    }

    var entries: [String: Entry] = [:]

    var description: String {
        let lines = entries.sorted { $0.key < $1.key }.map { path, entry in
            "\(path) \(String(entry.permissions, radix: 8)) x\(entry.linkCount) "
                + (entry.content.map { "\($0.count) bytes, sum \(Self.sum($0))" } ?? "directory")
        }
        return lines.joined(separator: "; ")
    }

    private static func sum(_ bytes: [UInt8]) -> UInt64 {
        var sum: UInt64 = 0
        for byte in bytes { sum = sum &* 31 &+ UInt64(byte) }
        return sum
    }
}

/// A file system as plainly as can be said, for the steps of `CrashStep`.
struct CrashModel: Sendable {
    private struct Node: Sendable {
        var content: [UInt8]?
        /// The last step that changed content or size of a file, or the entries of a directory.
        var lastChange = 0
    }

    private var nodes: [Int: Node] = [0: Node()]
    /// By path; the root is the empty one.
    private var names: [String: Int] = [:]
    private var nextNode = 1
    /// Counts the steps: the number of the state that there is now.
    private(set) var step = 0

    mutating func begin() { step += 1 }

    /// Goes on as another step than it was.
    mutating func goOn(as number: Int) { step = number }

    func node(_ path: String) -> Int? { path.isEmpty ? 0 : names[path] }
    func content(_ path: String) -> [UInt8]? { node(path).flatMap { nodes[$0]?.content } }
    func lastChange(_ path: String) -> Int? { node(path).flatMap { nodes[$0]?.lastChange } }

    mutating func make(_ path: String, content: [UInt8]?) -> Bool {
        if names[path] != nil { return false }
        nodes[nextNode] = Node(content: content, lastChange: step)
        names[path] = nextNode
        nextNode += 1
        touchParent(path)
        return true
    }

    private mutating func touchParent(_ path: String) {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        if let node = node(parent) { nodes[node]?.lastChange = step }
    }

    mutating func write(_ path: String, at offset: Int, _ bytes: [UInt8]) -> Bool {
        guard let node = names[path], var content = nodes[node]?.content else { return false }
        if content.count < offset + bytes.count { content += [UInt8](repeating: 0, count: offset + bytes.count - content.count) }
        content.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        nodes[node] = Node(content: content, lastChange: step)
        return true
    }

    mutating func truncate(_ path: String, to size: Int) -> Bool {
        guard let node = names[path], var content = nodes[node]?.content else { return false }
        if size < content.count { content.removeLast(content.count - size) }
        content += [UInt8](repeating: 0, count: size - content.count)
        nodes[node] = Node(content: content, lastChange: step)
        return true
    }

    mutating func rename(_ path: String, _ new: String) -> Bool {
        guard let node = names[path] else { return false }
        // Two names of one file: nothing happens.
        if names[new] == node { return true }
        names[path] = nil
        names[new] = node
        touchParent(path)
        touchParent(new)
        return true
    }

    mutating func link(_ path: String, _ new: String) -> Bool {
        guard let node = names[path], names[new] == nil else { return false }
        names[new] = node
        touchParent(new)
        return true
    }

    mutating func unlink(_ path: String) -> Bool {
        guard names.removeValue(forKey: path) != nil else { return false }
        touchParent(path)
        return true
    }

    var tree: CrashTree {
        var tree = CrashTree()
        for (path, node) in names {
            guard let content = nodes[node]?.content else {
                let children = names.filter { $0.key.hasPrefix(path + "/") && nodes[$0.value]?.content == nil }
                tree.entries[path] = CrashTree.Entry(content: nil, linkCount: 2 + children.count, permissions: 0o755)
                continue
            }
            let links = names.values.filter { $0 == node }.count
            tree.entries[path] = CrashTree.Entry(content: content, linkCount: links, permissions: 0o644)
        }
        return tree
    }
}
