import Archive
import ArgumentParser
import Client
import FileSystem
import Sealing
import Syscalls
import Transfer

struct TarCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tar", abstract: "Put a volume, or a part of it, into an encrypted archive that other programs can open.",
        usage: """
            efs tar [<options>] --fs <volume> -o <archive>
            efs tar [<options>] -C <dir> -o <archive>
            """,
        discussion: """
            The archive's name says what it is: .tar, .tar.gz (.tgz) or .tar.zst (.tzst), then .aes (AES Crypt) or .age for an encrypted \
            one, such as drive.efs.tar.gz.aes. It gets its name when it is whole; what had the name before is replaced. The volume \
            must not be mounted.
            """)

    @OptionGroup var tree: TreeOptions

    @Option(
        name: [.customShort("o"), .customLong("output")], help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
    var output: String

    @OptionGroup var archivePassword: ArchivePassword

    @Option(
        name: [.customShort("r"), .customLong("recipient")],
        help: ArgumentHelp("Seal an .age archive to a public key, instead of a password. May be repeated.", valueName: "age1…"))
    var recipients: [String] = []

    @Option(
        help: ArgumentHelp(
            "Leave out what matches a shell pattern: names anywhere, or, with a slash, paths from the tree's root. May be repeated.",
            valueName: "pattern"))
    var exclude: [String] = []

    @OptionGroup(title: "Password of the volume") var password: PasswordOptions

    func run() throws {
        let output = try checked(output, "archive")
        guard let format = ArchiveFormat(fileName: output) else {
            throw Failure(
                .usage, "the archive's name does not say what it is to be", object: output,
                hint: "let it end in .tar, .tar.gz or .tar.zst, then .aes or .age")
        }
        let keys = try recipientKeys()
        let progress = ProgressLine("archiving")
        let warnings = Warnings(progress)
        let exclusions = TreeExclusions(exclude)
        switch try tree.place {
        case .directory(let path):
            let source = try DirectorySource(path, exclusions: exclusions, report: warnings.add)
            try write(source, to: output, format, try sealing(format, keys), warnings, progress) { source.leaveOut($0) }
        case .volume(let location):
            let volume = try OpenedVolume.open(location, readOnly: true, tree, password, warnings)
            let source = try VolumeSource(volume.fileSystem, path: location.path, exclusions: exclusions, report: warnings.add)
            try write(source, to: output, format, try sealing(format, keys), warnings, progress) { _ in }
            try volume.close()
        case .remote(let place):
            let opener = FileTask.opener(readOnly: true, password)
            let (files, root) = try opener.tree(place)
            let source = RemoteSource(files, root, exclusions: exclusions, report: warnings.add)
            let result = Result { () throws(Failure) in
                try write(source, to: output, format, try sealing(format, keys), warnings, progress) { _ in }
            }
            try Waiting.run { _ = try? await opener.close() }
            try result.get()
        }
        try warnings.finish(object: output)
    }

    private func write(
        _ source: some TreeSource, to path: String, _ format: ArchiveFormat, _ sealing: ArchiveSealing, _ warnings: Warnings,
        _ progress: ProgressLine, _ leaveOut: (OwnedDescriptor) -> Void
    ) throws(Failure) {
        Interruption.begin()
        defer { progress.clear() }
        let file = try ArchiveFile(path: path)
        leaveOut(file.descriptor)
        let writing = ArchiveWriting(format: format, sealing: sealing, report: warnings.add) { (counts) throws(Failure) in
            try Interruption.check()
            progress.show(entries: counts.entries, bytes: counts.bytes)
        }
        _ = try writing.write(source, to: DescriptorSink(file.descriptor, name: path))
        try file.commit()
    }

    private func recipientKeys() throws(Failure) -> [AgeRecipient] {
        var keys: [AgeRecipient] = []
        for text in recipients {
            guard let key = AgeRecipient(text) else {
                throw Failure(.usage, "is no X25519 recipient of age", object: text, hint: "age-keygen prints one: age1…")
            }
            keys.append(key)
        }
        return keys
    }

    private func sealing(_ format: ArchiveFormat, _ keys: [AgeRecipient]) throws(Failure) -> ArchiveSealing {
        if format.encryption == .none {
            guard archivePassword.file == nil, keys.isEmpty else {
                throw Failure(
                    .usage, "the archive's name does not ask for encryption, but a password or recipient is given", object: output,
                    hint: "let the name end in .aes or .age")
            }
            return .none
        }
        if keys.isEmpty { return .password(try archivePassword.new()) }
        guard format.encryption == .age else {
            throw Failure(.usage, "an .aes archive has a password, no recipients", object: output, hint: "let the name end in .age")
        }
        guard archivePassword.file == nil else { throw Failure(.usage, "an archive has a password or recipients, not both") }
        return .recipients(keys)
    }
}

/// A volume that a command opens for itself.
enum OpenedVolume {
    static func open(
        _ location: TreeLocation, readOnly: Bool, _ tree: TreeOptions, _ password: PasswordOptions, _ warnings: Warnings
    ) throws(Failure) -> Volume {
        _ = try Volume.information(at: location.dataDirectory)  // what is wrong with the header is said before a password is asked
        var options = VolumeOptions()
        options.isReadOnly = readOnly
        options.accessTimes = .never
        options.acceptsRollback = tree.acceptRollback
        options.report = { Console.warn($0) }
        return try Volume.open(
            at: location.dataDirectory, password: try PasswordSource(password).password(prompt: "Password of the volume: "),
            options: options)
    }
}
