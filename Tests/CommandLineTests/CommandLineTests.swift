import Syscalls
import Testing

@testable import efs

@Suite struct CommandLineTests {
    @Test func optionsBeforeTheSubcommandMoveBehindIt() {
        let moved = GlobalOptions.movedBehindSubcommand
        #expect(moved(["--log-level", "DEBUG", "mount", "-d", "a"]) == ["mount", "--log-level", "DEBUG", "-d", "a"])
        #expect(moved(["-c", "X", "--log-level=warn", "mount"]) == ["mount", "-c", "X", "--log-level=warn"])
        #expect(moved(["mount", "-l", "warn"]) == ["mount", "-l", "warn"])
        #expect(moved(["--log-level"]) == ["--log-level"])
        #expect(moved(["--version"]) == ["--version"])
        #expect(moved([]) == [])
    }

    @Test func everyKindOfFailureHasAnExitStatusOfItsOwn() {
        let all = FailureKind.allCases.map(ExitStatus.of)
        #expect(Set(all).count == all.count)
        #expect(!all.contains(ExitStatus.success) && !all.contains(1))
    }

    @Test func errorsStayOnOneLine() {
        #expect(Console.oneLine("a\nb\tc\u{1B}[0m\n") == "a b c?[0m")
    }

    /// Names and messages of the storage's owner: neither set of control characters, nor marks of direction, nor other line ends.
    @Test func nothingThatATerminalObeysIsShown() {
        for value in [0x00, 0x1B, 0x7F, 0x85, 0x9B, 0x9D, 0xAD, 0x200B, 0x200E, 0x2028, 0x2029, 0x202E, 0x2066, 0xFEFF, 0xE0001] as [UInt32]
        {
            guard let scalar = Unicode.Scalar(value) else { continue }
            #expect(Console.oneLine("a\(Character(scalar))b") == "a?b", "U+\(String(value, radix: 16))")
            let json = JSON.string("a\(Character(scalar))b").text
            #expect(json.unicodeScalars.allSatisfy(Console.isShown) && json.hasPrefix("\"a\\u"))
        }
        #expect(Console.oneLine("Grüße, 名前 … 👍") == "Grüße, 名前 … 👍")
        #expect(JSON.string("\u{E0001}").text == "\"\\udb40\\udc01\"")
    }

    @Test func parserMessagesStartSmall() {
        #expect(CommandLineTool.asMessage("Unexpected argument 'x'") == "unexpected argument 'x'")
        #expect(CommandLineTool.asMessage("--cache must be 1.") == "--cache must be 1")
    }

    @Test func jsonIsJSON() {
        let value = JSON.object([
            ("a\"\\\n", .string("\u{1}é")), ("list", .array([.integer(-1), .number(1.5), .bool(true), .null])), ("none", .array([])),
        ])
        #expect(
            value.text
                == "{\n  \"a\\\"\\\\\\u000a\": \"\\u0001é\",\n  \"list\": [\n    -1,\n    1.5,\n    true,\n    null\n  ],\n  \"none\": []\n}"
        )
    }

    @Test func quantitiesHaveTheirUnits() {
        #expect(Quantity.of(1, "table") == "1 table" && Quantity.of(0, "table") == "0 tables" && Quantity.of(2, "table") == "2 tables")
        let sizes: [UInt64] = [0, 10239, 10240, 10 << 20, 1 << 40, .max]
        #expect(sizes.map(Quantity.ofBytes) == ["0 bytes", "10239 bytes", "10 KiB", "10 MiB", "1024 GiB", "16777215 TiB"])
    }

    @Test func mountTableIsRead() {
        let table = MountTable(
            parsing: """
                22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
                40 22 0:50 / /mnt/my\\040dir rw,nosuid - fuse.efs /data\\134x rw,user_id=0
                41 22 0:51 / /mnt/my\\040dir rw - tmpfs tmpfs rw
                broken line
                """)
        #expect(table.entries.count == 3)
        #expect(table.entries[1].isOurs && table.entries[1].mountPoint == "/mnt/my dir" && table.entries[1].source == "/data\\x")
        #expect(table.mount(at: "/mnt/my dir")?.type == "tmpfs")
        #expect(table.mount(at: "/nowhere") == nil)
    }

    @Test func handoverAnswersSurviveTheSocket() {
        let answers: [Handover.Answer] = [
            .ready(keysMayBeSwapped: false), .ready(keysMayBeSwapped: true), .failed(kind: .busy, message: "in use: by 7", hint: nil),
            .failed(kind: .damaged, message: "m", hint: "h"),
        ]
        for answer in answers { #expect(Handover.Answer(encoded: answer.encoded) == answer) }
        for answer in answers {
            for length in 0..<answer.encoded.count { #expect(Handover.Answer(encoded: Array(answer.encoded[..<length])) == nil) }
        }
    }
}
