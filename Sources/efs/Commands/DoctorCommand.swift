import ArgumentParser
import Syscalls

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say what of this machine efs uses, what it could use, and how to switch that on.",
        usage: "efs doctor [--json]",
        discussion: "Exit status: 0 if volumes can be mounted, 21 if something that is needed is missing.")

    @Flag(help: "Answer in JSON.")
    var json = false

    func run() throws {
        let findings = Examination().findings
        if json {
            Console.output(JSON.array(findings.map(\.json)).text)
        } else {
            for finding in findings { Console.output(finding.text) }
        }
        if findings.contains(where: { $0.state == .missing }) { throw ExitCode(ExitStatus.of(.notPermitted)) }
    }
}
