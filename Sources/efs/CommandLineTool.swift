import ArgumentParser
import Glibc
import Sealing
import Syscalls

/// Runs one invocation from arguments to exit status. Errors leave here as `efs: error: …` on one line and perhaps
/// `efs: hint: …` on a second, whoever raised them: the engine, the operating system or the argument parser.
enum CommandLineTool {
    static func run(_ arguments: [String]) -> Int32 {
        ProcessHardening.apply()
        if MountHelper.isCalled(as: arguments.first ?? "") {
            return MountHelper.run(Array(arguments.dropFirst()))
        }
        return run(parsing: GlobalOptions.movedBehindSubcommand(Array(arguments.dropFirst())))
    }

    /// Parses and runs; `arguments` are without the program's name.
    static func run(parsing arguments: [String]) -> Int32 {
        do {
            var command = try EFSCommand.parseAsRoot(arguments)
            try command.run()
            return ExitStatus.success
        } catch let failure as Failure {
            Console.report(failure)
            return ExitStatus.of(failure.kind)
        } catch let told as ToldFailure {
            return ExitStatus.of(told.kind)
        } catch let status as ExitCode {
            return status.rawValue
        } catch {
            return report(parserError: error, arguments: arguments)
        }
    }

    /// Help, version and completion scripts arrive as errors too: those are answers and go to standard output.
    private static func report(parserError error: any Error, arguments: [String]) -> Int32 {
        if EFSCommand.exitCode(for: error).isSuccess {
            Console.output(EFSCommand.fullMessage(for: error))
            return ExitStatus.success
        }
        let name = EFSCommand.subcommandName(in: arguments)
        let help = name.map { "efs \($0) --help" } ?? "efs --help"
        Console.report(Failure(.usage, asMessage(EFSCommand.message(for: error)), hint: "'\(help)' shows what there is"))
        return ExitStatus.of(.usage)
    }

    /// The parser's sentence in the shape of ours: one line, no capital, no stop.
    static func asMessage(_ sentence: String) -> String {
        var text = Console.oneLine(sentence)
        if text.hasSuffix(".") { text.removeLast() }
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}
