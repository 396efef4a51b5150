import Glibc
import Syscalls

/// `mount.fuse.efs SPEC DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]`: what mount(8) runs for
/// `mount -t fuse.efs` and for lines of /etc/fstab. It is this program under another name.
enum MountHelper {
    static func isCalled(as program: String) -> Bool {
        program.split(separator: "/").last.map { $0.hasPrefix("mount.fuse.efs") || $0.hasPrefix("mount.efs") } ?? false
    }

    static func run(_ arguments: [String]) -> Int32 {
        do throws(Failure) {
            let call = try Call(arguments)
            if call.asksForHelp {
                Console.output("usage: mount.fuse.efs DATA MOUNTPOINT [-sfnv] [-o OPTIONS]; see mount.fuse.efs(8)")
                return 0
            }
            if !call.isFake { try mount(call) }
            return 0
        } catch {
            Console.report(error)
            return ExitStatus.ofMountHelper(error.kind)
        }
    }

    /// Never creates a volume: an empty directory at boot is a disk that is not there.
    private static func mount(_ call: Call) throws(Failure) {
        let options = call.options
        let request = MountRequest(
            dataDirectory: try AbsolutePath.existing(call.source), mountPoint: try AbsolutePath.mountPoint(call.directory),
            options: options, log: .init(level: options.logLevel ?? .info, file: options.logFile))
        try MountTask.checkApart(data: request.dataDirectory, mountPoint: request.mountPoint)
        try MountTask.checkMountPoint(request.mountPoint)
        let password = try PasswordSource(nil, options).password()
        try BackgroundMount(request: request, password: password).start()
    }

    struct Call {
        var source = ""
        var directory = ""
        var options = MountOptionList()
        /// `-f`: everything but the mount itself.
        var isFake = false
        var asksForHelp = false

        init(_ arguments: [String]) throws(Failure) {
            var positional: [String] = []
            var lists: [String] = []
            var isSloppy = false
            var rest = arguments[...]
            while let argument = rest.popFirst() {
                guard argument.hasPrefix("-"), argument != "-" else {
                    positional.append(argument)
                    continue
                }
                if argument == "--help" || argument == "-h" {
                    asksForHelp = true
                    return
                }
                guard !argument.hasPrefix("--") else { throw Failure(.usage, "unknown option '\(argument)'") }
                var letters = argument.dropFirst()
                while let letter = letters.popFirst() {
                    switch letter {
                    case "s": isSloppy = true
                    case "f": isFake = true
                    case "n", "v", "w": break
                    case "r": lists.append("ro")
                    case "o", "t", "N":
                        guard let value = letters.isEmpty ? rest.popFirst() : String(letters) else {
                            throw Failure(.usage, "the option '-\(letter)' needs a value")
                        }
                        letters = ""
                        if letter == "o" { lists.append(value) }
                    default: throw Failure(.usage, "unknown option '-\(letter)'")
                    }
                }
            }
            guard positional.count == 2 else {
                throw Failure(.usage, "a data directory and a mount point are needed", hint: "mount.fuse.efs DATA MOUNTPOINT -o OPTIONS")
            }
            source = try checked(positional[0], "data directory")
            directory = try checked(positional[1], "mount point")
            options = try MountOptionList(parsing: lists.joined(separator: ","), lenient: isSloppy)
        }
    }
}
