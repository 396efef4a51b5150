import ArgumentParser
import Client
import Glibc
import Syscalls
import Transfer

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "List files.")

    @Argument(help: ArgumentHelp("drive:/path, ./vault:/path or a path.", valueName: "place"))
    var places: [String] = ["."]

    @Flag(name: .customShort("l"), help: "With mode, size and time.")
    var long = false

    @Flag(help: "One line of JSON for each entry.")
    var json = false

    @OptionGroup(title: "Password of a volume") var password: PasswordOptions

    func run() throws {
        let places = try places.map { (text) throws(Failure) in try Place(text) }
        try FileTask.run(readOnly: true, password: password) { [long, json] opener in
            for place in places {
                let (tree, path) = try opener.tree(place)
                guard let entry = try await tree.entry(path) else {
                    throw Failure(.missing, "there is nothing of this name", object: tree.display(path))
                }
                guard entry.kind == .directory else {
                    Console.output(EntryLine(entry, name: tree.display(path)).text(long: long, json: json))
                    continue
                }
                var entries: [TreeEntry] = []
                try await tree.list(path) { entries += $0 }
                entries.sort { $0.name.lexicographicallyPrecedes($1.name) }
                if places.count > 1, !json { Console.output(Console.oneLine(tree.display(path)) + ":") }
                for entry in entries { Console.output(EntryLine(entry).text(long: long, json: json)) }
            }
        }
    }
}

struct StatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stat", abstract: "Show what is known of files.")

    @Argument(help: ArgumentHelp("drive:/path, ./vault:/path or a path.", valueName: "place"))
    var places: [String]

    @Flag(help: "One line of JSON for each.")
    var json = false

    @OptionGroup(title: "Password of a volume") var password: PasswordOptions

    func run() throws {
        let places = try places.map { (text) throws(Failure) in try Place(text) }
        try FileTask.run(readOnly: true, password: password) { [json] opener in
            for place in places {
                let (tree, path) = try opener.tree(place)
                guard let entry = try await tree.entry(path) else {
                    throw Failure(.missing, "there is nothing of this name", object: tree.display(path))
                }
                let line = EntryLine(entry, name: tree.display(path))
                Console.output(json ? line.text(long: true, json: true) : line.rows)
            }
        }
    }
}

/// One entry of a listing.
struct EntryLine {
    private let entry: TreeEntry
    private let name: String
    /// If it is no UTF-8.
    private let nameBytes: [UInt8]?

    init(_ entry: TreeEntry, name: String? = nil) {
        self.entry = entry
        self.name = name ?? String(decoding: entry.name, as: UTF8.self)
        nameBytes = name == nil && String(validating: entry.name, as: UTF8.self) == nil ? entry.name : nil
    }

    func text(long: Bool, json: Bool) -> String {
        if json { return self.json.line }
        let shown = Console.oneLine(name) + (entry.kind == .directory ? "/" : "")
        guard long else { return shown }
        let size = String(entry.size)
        let target = entry.target.map { " -> \(Console.oneLine($0))" } ?? ""
        return "\(modeText) \(String(repeating: " ", count: max(0, 12 - size.count)))\(size) \(time) \(shown)\(target)"
    }

    var rows: String {
        var rows = [
            ("name", Console.oneLine(name)), ("type", entry.kind.rawValue), ("size", "\(entry.size) bytes"), ("mode", modeText),
            ("modified", time), ("version", entry.version),
        ]
        if let target = entry.target { rows.append(("target", Console.oneLine(target))) }
        return rows.map { ($0.0 + ":").padded(to: 10) + $0.1 }.joined(separator: "\n")
    }

    private var json: JSON {
        var members: [(String, JSON)] = [
            ("name", .string(name)), ("type", .string(entry.kind.rawValue)), ("size", .unsigned(entry.size)),
            ("mode", .unsigned(UInt64(entry.mode))), ("modified", .integer(entry.modified)),
            ("modifiedNanoseconds", .unsigned(UInt64(entry.modifiedNanoseconds))), ("version", .string(entry.version)),
        ]
        if let nameBytes {
            members.append(("namePercentEncoded", .string(String(RemotePath(components: [nameBytes]).percentEncoded.dropFirst()))))
        }
        if let target = entry.target { members.append(("target", .string(target))) }
        return .object(members)
    }

    private var modeText: String {
        let kind =
            switch entry.kind {
            case .directory: "d"
            case .symlink: "l"
            case .file: "-"
            case .other: "?"
            }
        let letters = Array("rwxrwxrwx")
        return kind + String((0..<9).map { entry.mode & (0o400 >> UInt32($0)) != 0 ? letters[$0] : "-" })
    }

    /// Local time, as ls(1) has it with --time-style=long-iso.
    private var time: String {
        var seconds = time_t(entry.modified)
        var parts = tm()
        localtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min))"
    }
}
