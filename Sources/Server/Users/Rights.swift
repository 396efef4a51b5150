package import Syscalls

/// What a user may do under a prefix.
package struct Rights: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Read contents.
    package static let read = Rights(rawValue: 1)
    /// Create, write, rename, make directories.
    package static let write = Rights(rawValue: 2)
    /// See names and metadata.
    package static let list = Rights(rawValue: 4)
    /// Delete.
    package static let delete = Rights(rawValue: 8)
    package static let all: Rights = [.read, .write, .list, .delete]

    private static let letters: [(Character, Rights)] = [("r", .read), ("w", .write), ("l", .list), ("d", .delete)]

    /// Such as `rwld`.
    package var text: String { String(Self.letters.filter { contains($0.1) }.map(\.0)) }

    package static func parse(_ text: String) throws(Failure) -> Rights {
        var rights: Rights = []
        for letter in text {
            guard let right = letters.first(where: { $0.0 == letter })?.1 else {
                throw Failure(.usage, "'\(letter)' is no right", hint: "r read, w write, l list, d delete")
            }
            rights.insert(right)
        }
        return rights
    }
}

/// Rights under a prefix of paths.
package struct Grant: Codable, Sendable, Equatable {
    /// `/` or `/a/b`, by whole components.
    package var prefix: String
    /// As `Rights.text`.
    package var rights: String

    package init(prefix: String, rights: String) {
        self.prefix = prefix
        self.rights = rights
    }
}

/// A user's grants, ready to be asked.
struct GrantTable: Sendable {
    private struct Entry {
        var components: [[UInt8]]
        var rights: Rights
    }

    /// The longest first.
    private let entries: [Entry]

    init(_ grants: [Grant]) throws(Failure) {
        var entries: [Entry] = []
        for grant in grants {
            entries.append(
                Entry(components: try RequestPath.parse(plain: grant.prefix).components, rights: try Rights.parse(grant.rights)))
        }
        self.entries = entries.sorted { $0.components.count > $1.components.count }
    }

    /// Of several prefixes that hold the path the longest counts.
    func rights(at path: RequestPath) -> Rights {
        for entry in entries where path.components.starts(with: entry.components) { return entry.rights }
        return []
    }
}
