import Glibc
import Sealing

/// The frozen volumes in Tests/Golden/format-1.
enum GoldenVolume {
    static let password = "a golden volume opens for ever"
    /// `closed`: as unmounting leaves it. `crashed`: as it was found with the last session still running, so that its log is replayed.
    static let names = ["closed", "crashed"]

    static var directory: String { "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Golden/format-1" }

    static func secret(_ text: String) -> SecretBytes { Array(text.utf8).withUnsafeBytes { SecretBytes(copying: $0) } }

    static func listing(_ name: String) throws -> [String] {
        String(decoding: try DirectoryTree.read("\(directory)/\(name).txt"), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    static func files(_ name: String) throws -> [String: [UInt8]] { try DirectoryTree.files("\(directory)/\(name)") }

    /// A copy of the data directory in a temporary one, and a directory for the machine's state beside it.
    static func withCopy<R>(_ name: String, _ body: (_ data: String, _ state: String) throws -> R) throws -> R {
        let files = try files(name)
        return try DirectoryTree.withTemporary { temporary in
            try DirectoryTree.write(files, to: "\(temporary)/data")
            return try body("\(temporary)/data", "\(temporary)/state")
        }
    }

    /// Where new golden volumes are to be made; nil in every ordinary run.
    static var newDirectory: String? { getenv("EFS_MAKE_GOLDEN").map { String(cString: $0) } }
}
