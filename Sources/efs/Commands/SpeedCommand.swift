import ArgumentParser
import Sealing

struct SpeedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "speed", abstract: "Measure the ciphers on this machine.",
        discussion: "One core, in memory, in place, with block sizes that a volume uses. More is better.")

    @Option(help: ArgumentHelp("How long to measure each figure.", valueName: "seconds"))
    var seconds = 0.1

    @Flag(help: "Answer in JSON.")
    var json = false

    func validate() throws {
        guard seconds > 0, seconds <= 60 else { throw ValidationError("--seconds must be above 0 and at most 60") }
    }

    func run() {
        let rows = SealingSpeed.measure(secondsEach: seconds)
        if json {
            Console.output(JSON.array(rows.map(Self.json)).text)
        } else {
            Console.output("cipher              block   seal MiB/s   open MiB/s")
            for row in rows { Console.output(Self.line(row)) }
        }
    }

    private static func line(_ row: SealingSpeed.Row) -> String {
        let rate = { (value: Double) in String(Int(value.rounded())).paddedLeft(to: 13) }
        return row.suite.name.padded(to: 18) + "\(row.blockSizeBytes / 1024) KiB".paddedLeft(to: 7) + rate(row.sealMebibytesPerSecond)
            + rate(row.openMebibytesPerSecond)
    }

    private static func json(_ row: SealingSpeed.Row) -> JSON {
        .object([
            ("cipher", .string(row.suite.name)), ("blockSizeBytes", .integer(Int64(row.blockSizeBytes))),
            ("sealMebibytesPerSecond", .number(row.sealMebibytesPerSecond.rounded())),
            ("openMebibytesPerSecond", .number(row.openMebibytesPerSecond.rounded())),
        ])
    }
}

extension String {
    /// Filled with spaces behind it.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
    /// Filled with spaces before it.
    func paddedLeft(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
