import Glibc
import Syscalls

/// The files of a real directory, for copying a data directory and for telling whether one has changed.
enum DirectoryTree {
    struct Trouble: Error {
        var what: String
    }

    static func read(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "r") else { throw Trouble(what: "cannot open \(path)") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "w") else { throw Trouble(what: "cannot make \(path)") }
        let count = fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0, count == bytes.count else { throw Trouble(what: "cannot write \(path)") }
    }

    /// Every file under `path`, by its path from there.
    static func files(_ path: String) throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in try entries(path) {
            if isDirectory("\(path)/\(name)") {
                for (inner, bytes) in try files("\(path)/\(name)") { result["\(name)/\(inner)"] = bytes }
            } else {
                result[name] = try read("\(path)/\(name)")
            }
        }
        return result
    }

    static func write(_ files: [String: [UInt8]], to path: String) throws {
        mkdir(path, 0o700)
        for (name, bytes) in files {
            if let folder = name.firstIndex(of: "/") { mkdir("\(path)/\(name[..<folder])", 0o700) }
            try write(bytes, to: "\(path)/\(name)")
        }
    }

    static func remove(_ path: String) {
        for name in (try? entries(path)) ?? [] {
            if isDirectory("\(path)/\(name)") { remove("\(path)/\(name)") } else { unlink("\(path)/\(name)") }
        }
        rmdir(path)
    }

    /// A new directory that is gone after `body`.
    static func withTemporary<R>(_ body: (String) throws -> R) throws -> R {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/efs-golden-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Trouble(what: "cannot make a directory in \(parent)") }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { remove(path) }
        return try body(path)
    }

    private static func isDirectory(_ path: String) -> Bool {
        var facts = stat()
        return lstat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    private static func entries(_ path: String) throws -> [String] { try directoryNames(path) }
}
