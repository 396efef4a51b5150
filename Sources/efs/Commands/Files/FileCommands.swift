import ArgumentParser
import Client
import Glibc
import NIOCore
import Syscalls
import Transfer

struct CatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "cat", abstract: "Write files to standard output.")

    @Argument(help: ArgumentHelp("Where the files are: drive:/path, ./vault:/path or a path.", valueName: "place"))
    var places: [String]

    @OptionGroup(title: "Password of a volume") var password: PasswordOptions

    func run() throws {
        let places = try places.map { (text) throws(Failure) in try Place(text) }
        try FileTask.run(readOnly: true, password: password) { opener in
            for place in places {
                let (tree, path) = try opener.tree(place)
                try await tree.read(path, nil, version: nil) { chunks in
                    while let piece = try await chunks.next() { try Console.write(piece) }
                }
            }
        }
    }
}

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove files and directories.")

    @Argument(help: ArgumentHelp("What to remove.", valueName: "place"))
    var places: [String]

    @Flag(name: [.customShort("r"), .customLong("recursive")], help: "Remove directories with all that is in them.")
    var recursive = false

    @Flag(name: [.customShort("f"), .customLong("force")], help: "What is not there is no failure.")
    var force = false

    @OptionGroup(title: "Password of a volume") var password: PasswordOptions

    func run() throws {
        let places = try places.map { (text) throws(Failure) in try Place(text) }
        try FileTask.run(readOnly: false, password: password) { [recursive, force] opener in
            for place in places {
                let (tree, path) = try opener.tree(place)
                guard let entry = try await tree.entry(path) else {
                    if force { continue }
                    throw Failure(.missing, "there is nothing of this name", object: tree.display(path))
                }
                guard entry.kind != .directory || recursive else {
                    throw Failure(.usage, "this is a directory", object: tree.display(path), hint: "-r removes directories")
                }
                try await tree.remove(path, recursive: recursive)
            }
        }
    }
}

struct MoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mv", abstract: "Rename or move within one server, volume or machine.")

    @Argument(help: ArgumentHelp("What to move.", valueName: "from"))
    var from: String

    @Argument(help: ArgumentHelp("Where to; into it, if it is a directory.", valueName: "to"))
    var to: String

    @Flag(name: [.customShort("n"), .customLong("no-clobber")], help: "Replace nothing.")
    var noClobber = false

    @OptionGroup(title: "Password of a volume") var password: PasswordOptions

    func run() throws {
        let old = try Place(from)
        let new = try Place(to)
        guard old.isSameTree(as: new) else {
            throw Failure(.usage, "mv stays within one server, volume or machine", hint: "use 'efs cp' and then 'efs rm'")
        }
        try FileTask.run(readOnly: false, password: password) { [noClobber] opener in
            let (tree, oldPath) = try Self.open(old, opener)
            var newPath = try Self.open(new, opener).1
            let there = try await tree.entry(newPath)
            if there?.kind == .directory || new.namesDirectory, let name = old.lastName {
                newPath = newPath.appending(name)
            }
            try await tree.move(oldPath, to: newPath, overwrite: !noClobber)
        }
    }

    /// Two local paths are seen as of one tree: the machine's.
    private static func open(_ place: Place, _ opener: PlaceOpener) throws(Failure) -> (any Tree, RemotePath) {
        guard case .local(let path) = place else { return try opener.tree(place) }
        let whole = path.hasPrefix("/") ? path : "\(workingDirectory)/\(path)"
        return (LocalTree("/"), RemotePath(components: whole.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }))
    }

    private static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }
}

struct MakeDirectoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "mkdir", abstract: "Make directories, with their parents.")

    @Argument(help: ArgumentHelp("The directories.", valueName: "place"))
    var places: [String]

    @Flag(name: .customShort("p"), help: .hidden)
    var parents = false

    @OptionGroup(title: "Password of a volume") var password: PasswordOptions

    func run() throws {
        let places = try places.map { (text) throws(Failure) in try Place(text) }
        try FileTask.run(readOnly: false, password: password) { opener in
            for place in places {
                let (tree, path) = try opener.tree(place)
                try await tree.makeDirectory(path)
            }
        }
    }
}
