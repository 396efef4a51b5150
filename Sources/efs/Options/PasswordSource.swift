import Glibc
import KeyManagement
import Sealing
import Syscalls

/// The source of a password, chosen but not read yet.
struct PasswordSource {
    private let options: PasswordOptions

    init(_ options: PasswordOptions, _ mountOptions: MountOptionList? = nil) {
        var options = options
        if options.file == nil, options.descriptor == nil, options.command == nil {
            options.file = mountOptions?.passwordFile
            options.command = mountOptions?.passwordCommand
        }
        self.options = options
    }

    func password() throws(Failure) -> SecretBytes { throw Failure(.inputOutput, "not there yet") }
    func newPassword() throws(Failure) -> SecretBytes { throw Failure(.inputOutput, "not there yet") }
}
