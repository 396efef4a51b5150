import ArgumentParser

/// The root of the command line.
struct EFSCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "efs",
        abstract: "Encrypted volumes that you mount as a directory.",
        discussion: """
            A volume lives in a data directory that shows nothing of what it holds: no names, no sizes, no tree. \
            'efs mount' asks for its password and shows the files.

            The password is read from the terminal, or from EFS_PASSWORD, --password-file, --password-fd or \
            --password-command; never from an argument.

            Exit status: 0 success, 2 wrong usage, 10 and above one number for each kind of failure; efs(1) lists them.
            """,
        version: Version.current,
        subcommands: [
            InitCommand.self, MountCommand.self, UmountCommand.self, SyncCommand.self, PasswdCommand.self, InfoCommand.self,
            CheckCommand.self, TarCommand.self, UntarCommand.self, SpeedCommand.self, DoctorCommand.self, CopyCommand.self,
            ListCommand.self, CatCommand.self, RemoveCommand.self,
            MoveCommand.self, MakeDirectoryCommand.self, StatCommand.self, RemoteCommand.self, VersionCommand.self,
        ])

    /// The subcommand that `arguments` name, for a hint.
    static func subcommandName(in arguments: [String]) -> String? {
        let names = configuration.subcommands.compactMap { $0.configuration.commandName }
        return arguments.first { !$0.hasPrefix("-") }.flatMap { names.contains($0) ? $0 : nil }
    }
}
