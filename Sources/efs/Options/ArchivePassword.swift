import Archive
import ArgumentParser
import Client
import KeyManagement
import Sealing
import Syscalls
import Transfer

/// The password of an archive; the volume has its own.
struct ArchivePassword: ParsableArguments {
    @Option(
        name: [.customShort("p"), .customLong("archive-password-file")],
        help: ArgumentHelp("Read the archive's password from the first line of a file.", valueName: "file"), completion: .file())
    var file: String?

    func existing() throws(Failure) -> SecretBytes {
        if let file { return try Password.fromFile(file) }
        return try Password.fromTerminal(prompt: "Password of the archive: ")
    }

    func new() throws(Failure) -> SecretBytes {
        let password: SecretBytes
        if let file {
            password = try Password.fromFile(file)
        } else {
            password = try Password.fromTerminal(prompt: "New password of the archive: ", confirm: "New password of the archive again: ")
        }
        guard password.count > 0 else {
            throw Failure(.usage, "the archive's password is empty", object: file, hint: "choose one that nobody guesses")
        }
        return password
    }
}

/// A directory in a volume, or one of this machine.
struct TreeOptions: ParsableArguments {
    @Option(
        name: .customLong("fs"),
        help: ArgumentHelp(
            "The volume, and perhaps a directory in it: ./vault or ./vault:/path. For tar also what a server has: drive or drive:/path.",
            valueName: "volume"),
        completion: .directory)
    var volume: String?

    @Option(
        name: [.customShort("C"), .customLong("directory")], help: ArgumentHelp("A plain directory instead.", valueName: "dir"),
        completion: .directory)
    var directory: String?

    @Flag(help: "Open the volume although it is older than was last seen on this machine.")
    var acceptRollback = false

    enum Place {
        case volume(TreeLocation)
        case directory(String)
        /// On a server: `drive`, or `drive:/path`.
        case remote(Transfer.Place)
    }

    /// A name alone is a remote's, unless a directory has it.
    private static func remote(_ place: Transfer.Place) -> Transfer.Place? {
        switch place {
        case .remote: return place
        case .local(let name) where Transfer.Place.isRemoteName(name.utf8) && (try? PathKind.of(name)) != .directory:
            return .remote(name: name, .root, namesDirectory: true)
        default: return nil
        }
    }

    var place: Place {
        get throws(Failure) {
            switch (volume, directory) {
            case (let volume?, nil):
                let place = try Transfer.Place(volume)
                if let remote = Self.remote(place) { return .remote(remote) }
                return .volume(try TreeLocation(parsing: volume))
            case (nil, let directory?): return .directory(try checked(directory, "directory"))
            case (nil, nil): throw Failure(.usage, "the tree is missing", hint: "name a volume with --fs, or a directory with -C")
            case (_?, _?): throw Failure(.usage, "a volume and a directory are given", hint: "use --fs or -C, not both")
            }
        }
    }
}
