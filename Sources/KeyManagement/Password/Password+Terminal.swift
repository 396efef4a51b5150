import Glibc
public import Sealing
public import Syscalls
import SystemPackage

extension Password {
    /// Asks on the terminal, without showing what is typed; with `confirm`, asks again and starts over when the two differ.
    /// Uses /dev/tty, so input and output of the program may be redirected.
    ///
    /// When a signal comes meanwhile, the terminal is restored before the signal does what it does; after a stop (Ctrl-Z) the
    /// question is asked again. Fails with `.missing` without a terminal, `.interrupted` when the input ends.
    public static func fromTerminal(prompt: String, confirm: String? = nil) throws(Failure) -> SecretBytes {
        let terminal: OwnedDescriptor
        do { terminal = try OwnedDescriptor.open("/dev/tty", O_RDWR | O_NOCTTY) } catch {
            throw Failure(
                .missing, "there is no terminal to ask for the password on",
                hint: "use --password-file, --password-fd, --password-command or \(environmentVariable)")
        }
        return try fromTerminal(terminal, prompt: prompt, confirm: confirm)
    }

    static func fromTerminal(_ terminal: OwnedDescriptor, prompt: String, confirm: String?) throws(Failure) -> SecretBytes {
        for _ in 0..<3 {
            let password = try ask(terminal, prompt)
            guard let confirm, password.count > 0 else { return password }
            if try ask(terminal, confirm).constantTimeEquals(password) { return password }
            write("The two differ, once more.\n", to: terminal)
        }
        throw Failure(.usage, "the password was not typed twice alike")
    }

    /// One question, asked again after each stop of the process.
    private static func ask(_ terminal: OwnedDescriptor, _ prompt: String) throws(Failure) -> SecretBytes {
        while true {
            switch try askOnce(terminal, prompt) {
            case .line(let password): return password
            case .ended: throw Failure(.interrupted, "no password was given")
            case .signal(let number):
                // All is restored: the signal now does what it would have done. It comes back only from a stop, or if the
                // program handles it.
                SignalWatch.deliver(number)
                guard SignalWatch.stops.contains(number) else { throw Failure(.interrupted, "interrupted while asking for the password") }
            }
        }
    }

    private enum Answer {
        case line(SecretBytes)
        case ended
        case signal(Int32)
    }

    private static func askOnce(_ terminal: OwnedDescriptor, _ prompt: String) throws(Failure) -> Answer {
        let watch = try SignalWatch()
        defer { watch.end() }
        let before = try silence(terminal)
        defer {
            var before = before
            tcsetattr(terminal.rawValue, TCSAFLUSH, &before)
            write("\n", to: terminal)
        }
        write(prompt, to: terminal)
        var signal: Int32?
        var sawEnd = false
        let line = try readLine(object: "the terminal") { (buffer) throws(Failure) in
            signal = try watch.waitForInput(of: terminal)
            if signal != nil { return 0 }
            let count: Int
            do throws(Errno) { count = try retryingCount { Glibc.read(terminal.rawValue, buffer.baseAddress, 1) } } catch {
                throw Failure(systemCall: "reading the password", object: "the terminal", error)
            }
            if count == 0 { sawEnd = true }
            return count
        }
        if let signal { return .signal(signal) }
        return sawEnd && line.count == 0 ? .ended : .line(line)
    }

    /// Switches echo off; returns how the terminal was.
    private static func silence(_ terminal: OwnedDescriptor) throws(Failure) -> termios {
        var before = termios()
        guard tcgetattr(terminal.rawValue, &before) == 0 else {
            throw Failure(systemCall: "asking for the password", object: "the terminal", .current)
        }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO | ECHOE | ECHOK | ECHONL)
        silent.c_lflag |= tcflag_t(ICANON | ISIG)
        // FLUSH: what was typed before the question is no answer to it.
        guard tcsetattr(terminal.rawValue, TCSAFLUSH, &silent) == 0 else {
            throw Failure(systemCall: "switching the echo off", object: "the terminal", .current)
        }
        return before
    }

    private static func write(_ text: String, to terminal: OwnedDescriptor) {
        let bytes = Array(text.utf8)
        // If the terminal cannot be written, reading from it will fail and say so.
        _ = try? retryingCount { Glibc.write(terminal.rawValue, bytes, bytes.count) }
    }
}
