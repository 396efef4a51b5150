import Sealing
import Syscalls

/// The process that serves a mount until it is unmounted or told to end.
struct ServingProcess {
    let request: MountRequest
    /// nil in the foreground.
    let handover: Handover?

    /// In the background: takes the password from the handover and answers on it.
    func run() throws(Failure) {
        guard let handover else { throw Failure(.usage, "nothing to hand over") }
        do throws(Failure) {
            try run(password: try handover.receivePassword())
        } catch {
            try handover.send(Handover.Answer(error))
            throw error
        }
    }

    func run(password: SecretBytes) throws(Failure) { throw Failure(.inputOutput, "not there yet") }
}
