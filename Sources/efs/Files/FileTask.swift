import ArgumentParser
import Client
import Dispatch
import Glibc
import KeyManagement
import Sealing
import Synchronization
import Syscalls
import Transfer

/// Runs the part of a command that works on places: opens what they name, and closes it whatever happens.
enum FileTask {
    /// `body`'s work, then what was written made durable. Errors leave as `Failure`.
    static func run(
        readOnly: Bool, password: PasswordOptions, _ body: @escaping @Sendable (PlaceOpener) async throws -> Void
    ) throws {
        let opener = opener(readOnly: readOnly, password)
        try waitFor {
            do { try await body(opener) } catch {
                try? await opener.close()
                throw asFailure(error)
            }
            do { try await opener.close() } catch { throw asFailure(error) }
        }
    }

    static func opener(readOnly: Bool, _ password: PasswordOptions) -> PlaceOpener {
        let source = PasswordSource(password)
        return PlaceOpener(
            isReadOnly: readOnly,
            passphrase: { (what) throws(Failure) in try Password.fromTerminal(prompt: "Passphrase of \(what): ") },
            volumePassword: { (path) throws(Failure) in try source.password(prompt: "Password of \(path): ") })
    }

    static func asFailure(_ error: any Error) -> any Error {
        switch error {
        case let error as ClientError: error.failure(nil)
        case is CancellationError: Failure(.interrupted, "given up")
        default: error
        }
    }

    /// Runs asynchronous work from the main thread, which nothing asynchronous needs.
    static func waitFor(_ body: @escaping @Sendable () async throws -> Void) throws {
        let box = ResultBox()
        let done = DispatchSemaphore(value: 0)
        Task {
            do { try await body() } catch { box.error.withLock { $0 = error } }
            done.signal()
        }
        done.wait()
        if let error = box.error.withLock({ $0 }) { throw error }
    }

    private final class ResultBox: Sendable {
        let error = Mutex<(any Error)?>(nil)
    }
}
