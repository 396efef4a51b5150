import Archive
import ArgumentParser
import FileSystem
import Sealing
import Syscalls

struct UntarCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "untar", abstract: "Restore an archive into a volume or a directory.",
        usage: """
            efs untar [<options>] <archive> --fs <volume>
            efs untar [<options>] <archive> -C <dir>
            """,
        discussion: """
            All of the archive is restored or nothing: with a wrong password, a damaged archive, or a name that is there already, the \
            destination stays as it was. The destination is made if only its last name is missing. The volume must not be mounted.
            """)

    @Argument(
        help: ArgumentHelp("A tar archive, perhaps gzip or zstd, perhaps AES Crypt or age.", valueName: "archive"), completion: .file())
    var archive: String

    @OptionGroup var tree: TreeOptions
    @OptionGroup var archivePassword: ArchivePassword

    @Option(
        name: [.customShort("i"), .customLong("identity")],
        help: ArgumentHelp("Open an .age archive with the keys of a file, as age-keygen writes it.", valueName: "file"), completion: .file()
    )
    var identity: String?

    @OptionGroup(title: "Password of the volume") var password: PasswordOptions

    func run() throws {
        let place = try tree.place
        if case .remote = place {
            throw Failure(
                .usage, "an archive cannot be restored to a server at once", object: tree.volume,
                hint: "restore it to a directory with -C, and copy that with: efs cp -r")
        }
        let path = try checked(archive, "archive")
        let progress = ProgressLine("restoring")
        let warnings = Warnings(progress)
        let input = try ArchiveInput(path: path) { (part) throws(Failure) in
            try Interruption.check()
            if let part { progress.show(part) }
        }
        switch place {
        case .directory(let directory):
            try restore(input, into: DirectoryStore(directory, report: warnings.add), progress)
        case .remote: break
        case .volume(let location):
            let volume = try OpenedVolume.open(location, readOnly: false, tree, password, warnings)
            let result = Result { () throws(Failure) in
                try restore(input, into: VolumeStore(volume.fileSystem, path: location.path), progress)
            }
            // What was taken back is garbage that the next opening need not replay.
            try volume.close()
            try result.get()
        }
        try warnings.finish(object: path)
    }

    private func restore(_ input: ArchiveInput, into store: some TreeStore, _ progress: ProgressLine) throws(Failure) {
        let opening = try opening(input.encryption)
        Interruption.begin()
        defer { progress.clear() }
        do throws(Failure) { _ = try ArchiveRestoring.restore(input, with: opening, into: store) } catch {
            var failure = error
            failure.object = failure.object ?? archive
            throw failure
        }
    }

    private func opening(_ encryption: ArchiveFormat.Encryption) throws(Failure) -> ArchiveOpening {
        if let identity {
            guard archivePassword.file == nil else {
                throw Failure(.usage, "a password and a key are given", hint: "use -p or -i, not both")
            }
            return .identities(try AgeIdentity.read(file: identity))
        }
        if encryption == .none, archivePassword.file == nil { return .none }
        return .password(try archivePassword.existing())
    }
}
