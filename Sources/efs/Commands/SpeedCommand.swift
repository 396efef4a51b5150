import ArgumentParser
import Glibc
import Sealing
import Syscalls

/// Seals and opens blocks in memory with each cipher, as a volume does.
struct SpeedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "speed", abstract: "Measure the ciphers on this machine.",
        discussion: "One core, in memory, in place, with the block sizes that a volume uses. More is better.")

    @Option(help: ArgumentHelp("How long to measure each figure.", valueName: "seconds"))
    var seconds = 0.3

    @Flag(help: "Answer in JSON.")
    var json = false

    private static let blockSizesBytes = [4096, 65536]

    func validate() throws {
        guard seconds > 0, seconds <= 60 else { throw ValidationError("--seconds must be above 0 and at most 60") }
    }

    func run() {
        let rows = CipherSuite.allCases.flatMap { suite in Self.blockSizesBytes.map { measure(suite, blockSizeBytes: $0) } }
        if json {
            Console.output(JSON.array(rows.map(\.json)).text)
            return
        }
        Console.output("cipher              block   seal MiB/s   open MiB/s")
        for row in rows { Console.output(row.line) }
    }

    private struct Row {
        var suite: CipherSuite
        var blockSizeBytes: Int
        var sealBytesPerSecond: Double
        var openBytesPerSecond: Double

        var line: String {
            let mebibytes = { (rate: Double) in String(Int((rate / 1_048_576).rounded())) }
            return suite.name.padded(to: 18) + "\(blockSizeBytes / 1024) KiB".paddedLeft(to: 7)
                + mebibytes(sealBytesPerSecond).paddedLeft(to: 13) + mebibytes(openBytesPerSecond).paddedLeft(to: 13)
        }

        var json: JSON {
            .object([
                ("cipher", .string(suite.name)), ("blockSizeBytes", .integer(Int64(blockSizeBytes))),
                ("sealBytesPerSecond", .number(sealBytesPerSecond.rounded())),
                ("openBytesPerSecond", .number(openBytesPerSecond.rounded())),
            ])
        }
    }

    private func measure(_ suite: CipherSuite, blockSizeBytes: Int) -> Row {
        let cipher = BlobCipher(suite: suite, key: .random(count: CipherSuite.keySizeBytes))
        let size = blockSizeBytes + CipherSuite.tagSizeBytes
        let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        let sealed = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        defer {
            plain.deallocate()
            sealed.deallocate()
        }
        plain.initializeMemory(as: UInt8.self, repeating: 0x5A)
        let associated = UnsafeRawBufferPointer(rebasing: plain[..<16])
        let text = UnsafeRawBufferPointer(rebasing: plain[..<blockSizeBytes])
        var nonce = SealingNonce(frame: 0, block: 0)
        return cipher.withContext { context in
            let seal = rate(bytes: blockSizeBytes) {
                nonce.frame += 1
                context.seal(text, nonce: nonce, authenticating: associated, into: sealed)
            }
            let open = rate(bytes: blockSizeBytes) {
                let opened = context.open(UnsafeRawBufferPointer(sealed), nonce: nonce, authenticating: associated, into: plain)
                precondition(opened, "what was sealed here opens here")
            }
            return Row(suite: suite, blockSizeBytes: blockSizeBytes, sealBytesPerSecond: seal, openBytesPerSecond: open)
        }
    }

    /// Bytes per second of `work`, called again and again in batches until the time is up.
    private func rate(bytes: Int, _ work: () -> Void) -> Double {
        let batch = max(1, 1_048_576 / bytes)
        let clock = ContinuousClock()
        for _ in 0..<batch { work() }
        let start = clock.now
        var calls = 0
        while start.duration(to: clock.now) < .seconds(seconds) {
            for _ in 0..<batch { work() }
            calls += batch
        }
        return Double(calls * bytes) / (start.duration(to: clock.now) / .seconds(1))
    }
}

extension String {
    /// Filled with spaces behind it.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
    /// Filled with spaces before it.
    func paddedLeft(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
