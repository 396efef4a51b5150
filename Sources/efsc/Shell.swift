import Client
import Glibc
import NIOCore
import Syscalls
import Transfer

/// The commands of the shell, one line each. Used by the main thread alone.
final class Shell {
    private let client: EFSClient
    private let isInteractive: Bool
    private var directory = RemotePath.root
    private var hasStopped = false

    init(_ client: EFSClient, isInteractive: Bool) {
        self.client = client
        self.isInteractive = isInteractive
    }

    private static let help = """
        post <path> [<file>]  create file at path with content of stdin, or of a local file
        get <path> [<file>]   get file at path, to the screen or to a local file
        ls [<path>]           list files
        cd [<path>]           change the directory
        rm [-r] <path>        remove a file, or a directory with all that is in it
        mv <from> <to>        rename or move
        mkdir <path>          make a directory
        stat <path>           show what is known of a file
        clear-cache           deletes decrypted local copies of files
        stop                  end
        """

    private static let commands = ["post", "get", "ls", "cd", "rm", "mv", "mkdir", "stat", "clear-cache", "help", "stop"]

    /// Runs these commands, or those that are typed or come from standard input. The exit status.
    func run(_ given: [String]?) -> Int32 {
        if let given { return runAll(given[...].makeIterator()) }
        if isInteractive { return runInteractively() }
        return runAll(AnyIterator { readLine() }.makeIterator())
    }

    private func runAll(_ lines: some IteratorProtocol<String>) -> Int32 {
        var lines = lines
        while !hasStopped, let line = lines.next() {
            let status = perform(line)
            if status != 0 { return status }
        }
        return 0
    }

    private func runInteractively() -> Int32 {
        guard let editor = LineEditor(prompt: "efs> ", complete: { [unowned self] in complete($0) }) else {
            Terminal.report(Failure(.inputOutput, "the terminal cannot be used", hint: "--batch reads commands from standard input"))
            return ShellTool.status(of: .inputOutput)
        }
        while !hasStopped, let line = editor.line() { _ = perform(line) }
        if hasStopped { Terminal.output("shutting down...") }
        return 0
    }

    /// One line; its exit status.
    private func perform(_ line: String) -> Int32 {
        do {
            let words = try ShellWords.split(line)
            guard let command = words.first, !command.hasPrefix("#") else { return 0 }
            try perform(command, Array(words.dropFirst()))
            return 0
        } catch {
            let failure = (error as? Failure) ?? (error as? ClientError)?.failure(nil) ?? Failure(.inputOutput, "\(error)")
            Terminal.report(failure)
            return ShellTool.status(of: failure.kind)
        }
    }

    private func perform(_ command: String, _ arguments: [String]) throws {
        func path(_ index: Int) throws(Failure) -> RemotePath {
            guard arguments.indices.contains(index) else { throw Failure(.usage, "\(command) needs a path", hint: "'help' shows how") }
            return directory.resolving(arguments[index])
        }
        switch command {
        case "help": Terminal.output(Self.help)
        case "post": try post(try path(0), file: arguments.dropFirst().first)
        case "get": try get(try path(0), file: arguments.dropFirst().first)
        case "ls": try list(arguments.isEmpty ? directory : try path(0))
        case "cd": try change(to: arguments.isEmpty ? .root : try path(0))
        case "rm":
            let isRecursive = arguments.first == "-r"
            let target = try path(isRecursive ? 1 : 0)
            try wait(target) { client in try await client.delete(target, recursive: isRecursive) }
        case "mv":
            let (from, to) = (try path(0), try path(1))
            try move(from, to)
        case "mkdir":
            let target = try path(0)
            try wait(target) { client in try await client.makeDirectory(target) }
        case "stat": try show(try path(0))
        case "clear-cache": try clearCache()
        case "stop", "exit", "quit": hasStopped = true
        default: throw Failure(.usage, "there is no such command", object: command, hint: "'help' lists them")
        }
    }

    private func wait<R: Sendable>(_ path: RemotePath?, _ body: @escaping @Sendable (EFSClient) async throws -> R) throws -> R {
        let client = self.client
        do { return try ShellTool.waitFor { try await body(client) } } catch let error as ClientError {
            throw error.failure(path.map { "\($0)" })
        }
    }

    // MARK: Commands

    private func post(_ path: RemotePath, file: String?) throws {
        if let file {
            let source = LocalTree(file)
            let tree = RemoteTree(client, name: "", uploads: nil)
            try copy(source, .root, tree, path)
            if isInteractive { Terminal.output("Done.") }
            return
        }
        if isInteractive { Terminal.output("Paste content:  (end with Ctrl-D on a line of its own)") }
        let content = try StandardInput.rest()
        if isInteractive { Terminal.output("Encryption...\nStorage...") }
        try wait(path) { client in _ = try await client.put(path, content) }
        if isInteractive { Terminal.output("Done.") }
    }

    private func get(_ path: RemotePath, file: String?) throws {
        if let file {
            try copy(RemoteTree(client, name: "", uploads: nil), path, LocalTree(file), .root)
            return
        }
        let endsLine = try wait(path) { client in
            try await client.get(path) { _, body in
                var last: UInt8 = 0x0A
                while let piece = try await body.next() {
                    last = piece.readableBytesView.last ?? last
                    Terminal.output(piece)
                }
                return last == 0x0A
            }
        }
        if isInteractive, !endsLine { Terminal.output("") }
    }

    private func copy(_ source: some Tree, _ from: RemotePath, _ target: some Tree, _ to: RemotePath) throws {
        let failures = FirstFailure()
        let summary = try wait(to) { _ in
            try await Copier(source, target, CopyOptions()) { event in
                if case .failed(_, let failure) = event { failures.note(failure) }
            }.copy(from, to: to)
        }
        if let failure = failures.first { throw failure }
        if summary.skipped > 0 { throw Failure(.usage, "this is no file", object: source.display(from)) }
    }

    private func list(_ path: RemotePath) throws {
        var entries = try wait(path) { client in
            guard try await client.metadata(path).kind == .directory else { return [try await client.metadata(path)] }
            return try await Self.entries(client, path)
        }
        entries.sort { $0.name.lexicographicallyPrecedes($1.name) }
        for entry in entries {
            let size = String(entry.size)
            let name = Terminal.oneLine(String(decoding: entry.name, as: UTF8.self))
            let isDirectory = entry.kind == .directory
            Terminal.output(
                String(repeating: " ", count: max(0, 12 - size.count)) + (isDirectory ? "" : size)
                    + (isDirectory ? String(repeating: " ", count: size.count) : "") + "  \(name)\(isDirectory ? "/" : "")")
        }
    }

    private static func entries(_ client: EFSClient, _ path: RemotePath) async throws -> [Entry] {
        var all: [Entry] = []
        try await client.forEachPage(path) { all += $0 }
        return all
    }

    private func change(to path: RemotePath) throws {
        if !path.isRoot {
            let kind = try wait(path) { client in try await client.metadata(path).kind }
            guard kind == .directory else { throw Failure(.usage, "this is no directory", object: "\(path)") }
        }
        directory = path
    }

    /// Into it, if `to` is a directory, as mv(1) does.
    private func move(_ from: RemotePath, _ to: RemotePath) throws {
        try wait(from) { client in
            let isDirectory = try await client.metadataIfPresent(to)?.kind == .directory
            _ = try await client.move(from, to: isDirectory ? to.appending(from.name) : to, overwrite: true)
        }
    }

    private func show(_ path: RemotePath) throws {
        let entry = try wait(path) { client in try await client.metadata(path) }
        Terminal.output(
            """
            path:      \(Terminal.oneLine("\(path)"))
            type:      \(entry.kind.rawValue)
            size:      \(entry.size)
            mode:      \(String(entry.mode, radix: 8))
            modified:  \(entry.modified)
            etag:      \(entry.etag)
            """)
    }

    private func clearCache() throws {
        if isInteractive {
            Terminal.output("All decrypted copies of this file system will be wiped. Continue ? (y/N) : ", end: "")
            guard let answer = readLine(), answer == "y" || answer == "Y" else { return Terminal.output("Nothing was done.") }
        }
        _ = try wait(nil) { client in try await client.clearCache() }
        Terminal.output("Cache cleared.")
    }

    // MARK: Completion

    /// Commands for the first word, paths of the server for the others.
    private func complete(_ line: String) -> [String] {
        guard let space = line.lastIndex(of: " ") else {
            return Self.commands.filter { $0.hasPrefix(line) }.map { String($0.dropFirst(line.count)) + " " }
        }
        let word = String(line[line.index(after: space)...])
        let slash = word.lastIndex(of: "/")
        let start = slash.map { String(word[...$0]) } ?? ""
        let name = slash.map { String(word[word.index(after: $0)...]) } ?? word
        let path = directory.resolving(start)
        guard let entries = try? wait(path, { client in try await Self.entries(client, path) }) else { return [] }
        return entries.compactMap { entry in
            let text = String(decoding: entry.name, as: UTF8.self)
            guard text.hasPrefix(name) else { return nil }
            return String(text.dropFirst(name.count)) + (entry.kind == .directory ? "/" : " ")
        }
    }
}
