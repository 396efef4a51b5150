import KeyManagement
import Sealing
import Syscalls

/// Where a password comes from, chosen but not read yet: an option, else a mount option, else `EFS_PASSWORD`, else the terminal.
struct PasswordSource {
    private enum Place {
        case file(String)
        case descriptor(Int32)
        case command(String)
        case environmentOrTerminal
    }

    private let place: Place

    init(_ options: PasswordOptions?, _ mountOptions: MountOptionList? = nil) {
        place =
            if let file = options?.file {
                .file(file)
            } else if let descriptor = options?.descriptor {
                .descriptor(descriptor)
            } else if let command = options?.command {
                .command(command)
            } else if let file = mountOptions?.passwordFile {
                .file(file)
            } else if let command = mountOptions?.passwordCommand {
                .command(command)
            } else {
                .environmentOrTerminal
            }
    }

    init(file: String?) { place = file.map { .file($0) } ?? .environmentOrTerminal }

    /// The password of an existing volume.
    func password(prompt: String = "Password: ") throws(Failure) -> SecretBytes {
        try read(usingEnvironment: true, prompt: prompt, confirm: nil)
    }

    /// A password to seal with: on the terminal it is asked twice. `usingEnvironment`: whether `EFS_PASSWORD` is this one.
    func newPassword(usingEnvironment: Bool = true) throws(Failure) -> SecretBytes {
        let password = try read(usingEnvironment: usingEnvironment, prompt: "New password: ", confirm: "New password again: ")
        try Password.checkNew(password)
        return password
    }

    private func read(usingEnvironment: Bool, prompt: String, confirm: String?) throws(Failure) -> SecretBytes {
        switch place {
        case .file(let path): return try Password.fromFile(path, warn: Console.warn)
        case .descriptor(let number): return try Password.fromDescriptor(number)
        case .command(let command): return try Password.fromCommand(command)
        case .environmentOrTerminal:
            if usingEnvironment, let password = try Password.fromEnvironment() { return password }
            return try Password.fromTerminal(prompt: prompt, confirm: confirm)
        }
    }
}
