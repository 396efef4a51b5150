import CSyscalls
import Glibc
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import KeyManagement

/// A pseudo-terminal; the test types at `keyboard` and the program asks on `terminal`.
struct PseudoTerminal: Sendable {
    let keyboard: OwnedDescriptor
    let terminal: OwnedDescriptor

    init() throws {
        // posix_openpt and its like are not in Swift's Glibc module; these are the ioctls that they make.
        let unlock: UInt = 0x4004_5431  // TIOCSPTLCK
        let getNumber: UInt = 0x8004_5430  // TIOCGPTN
        keyboard = try OwnedDescriptor.open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var number: Int32 = 0
        guard efs_ioctl_pointer(keyboard.rawValue, unlock, &number) == 0, efs_ioctl_pointer(keyboard.rawValue, getNumber, &number) == 0
        else { throw Failure(.missing, "no pseudo-terminal") }
        terminal = try OwnedDescriptor.open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
    }

    /// Reads what the program shows until `text` was there; all that was shown. Compared by bytes: to a `Character`, the line
    /// end in "\r\n" is no "\n".
    func waitFor(_ text: String) -> String {
        var shown: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        while !shown.contains(text.utf8) {
            let count = Glibc.read(keyboard.rawValue, &buffer, buffer.count)
            guard count > 0 else { break }
            shown += buffer[..<count]
        }
        return String(decoding: shown, as: UTF8.self)
    }

    func type(_ text: String) { _ = Glibc.write(keyboard.rawValue, text, text.utf8.count) }

    var echoes: Bool {
        var state = termios()
        return tcgetattr(terminal.rawValue, &state) == 0 && state.c_lflag & tcflag_t(ECHO) != 0
    }
}

/// One at a time: signal handlers are the whole process's.
@Suite(.serialized) struct TerminalTests {
    private func ask(_ pseudo: PseudoTerminal, confirm: Bool, typing: @escaping @Sendable (PseudoTerminal) -> Void) throws -> SecretBytes {
        let typist = WorkerThread(name: "typist") { typing(pseudo) }
        defer { typist.join() }
        return try Password.fromTerminal(pseudo.terminal, prompt: "Password: ", confirm: confirm ? "Again: " : nil)
    }

    @Test func whatIsTypedIsReadAndNotShown() throws {
        let pseudo = try PseudoTerminal()
        let shown = Mutex("")
        let password = try ask(pseudo, confirm: false) { pseudo in
            var text = pseudo.waitFor("Password: ")
            pseudo.type("sésame\n")
            text += pseudo.waitFor("\n")
            shown.withLock { $0 = text }
        }
        #expect(password.constantTimeEquals(secret("sésame")))
        #expect(shown.withLock { $0 } == "Password: \r\n")
        #expect(pseudo.echoes)
    }

    @Test func bothMustBeAlike() throws {
        let pseudo = try PseudoTerminal()
        let password = try ask(pseudo, confirm: true) { pseudo in
            for answers in [["one", "two"], ["three", "three"]] {
                _ = pseudo.waitFor("Password: ")
                pseudo.type(answers[0] + "\n")
                _ = pseudo.waitFor("Again: ")
                pseudo.type(answers[1] + "\n")
            }
            _ = pseudo.waitFor("\n")
        }
        #expect(password.constantTimeEquals(secret("three")))
        #expect(pseudo.echoes)
    }

    @Test func theEndOfInputIsNoPassword() throws {
        let pseudo = try PseudoTerminal()
        #expect {
            try ask(pseudo, confirm: false) { pseudo in
                _ = pseudo.waitFor("Password: ")
                pseudo.type("\u{4}")
            }
        } throws: {
            ($0 as? Failure)?.kind == .interrupted
        }
        #expect(pseudo.echoes)
    }

    /// In processes of their own, which the signals may end.
    @Test func anInterruptedQuestionRestoresTheTerminal() async {
        await #expect(processExitsWith: .success) {
            let pseudo = try PseudoTerminal()
            // Handled, so that this process lives to look at the terminal.
            signal(SIGINT) { _ in }
            let typist = WorkerThread(name: "typist") {
                _ = pseudo.waitFor("Password: ")
                if pseudo.echoes { exit(1) }
                kill(getpid(), SIGINT)
            }
            do throws(Failure) {
                _ = try Password.fromTerminal(pseudo.terminal, prompt: "Password: ", confirm: nil)
                exit(2)
            } catch {
                typist.join()
                guard error.kind == .interrupted, pseudo.echoes else { exit(3) }
            }
        }
        await #expect(processExitsWith: .signal(SIGTERM)) {
            let pseudo = try PseudoTerminal()
            let typist = WorkerThread(name: "typist") {
                _ = pseudo.waitFor("Password: ")
                kill(getpid(), SIGTERM)
            }
            _ = try Password.fromTerminal(pseudo.terminal, prompt: "Password: ", confirm: nil)
            typist.join()
        }
    }

    @Test func aStoppedQuestionIsAskedAgain() async {
        await #expect(processExitsWith: .success) {
            let pseudo = try PseudoTerminal()
            signal(SIGTSTP) { _ in }
            let typist = WorkerThread(name: "typist") {
                _ = pseudo.waitFor("Password: ")
                pseudo.type("half")
                kill(getpid(), SIGTSTP)
                _ = pseudo.waitFor("Password: ")
                pseudo.type("whole\n")
            }
            let password = try Password.fromTerminal(pseudo.terminal, prompt: "Password: ", confirm: nil)
            typist.join()
            guard password.constantTimeEquals(secret("whole")), pseudo.echoes else { exit(1) }
        }
    }
}
