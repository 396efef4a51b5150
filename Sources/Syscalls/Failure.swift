public import SystemPackage

/// What kind of thing went wrong, as a user would sort it. Each kind has one exit code of the command line.
public enum FailureKind: String, Sendable, CaseIterable {
    /// The command line or an option is wrong.
    case usage
    /// No key slot opens with this password.
    case wrongPassword
    /// Something of the volume failed its authentication, or does not hold together.
    case damaged
    /// The volume was made by a newer version, or uses a feature that this one does not know.
    case newerFormat
    /// The directory holds no volume.
    case notAVolume
    /// The directory holds other things and no volume.
    case notEmpty
    /// A volume is there already.
    case alreadyExists
    /// Another process writes this volume, or the mount point is in use.
    case busy
    /// A file or directory that was named does not exist, or cannot be reached.
    case missing
    /// The storage shows an older or another history than was last seen here.
    case rolledBack
    /// No room on the storage, or a quota is used up.
    case noSpace
    /// The storage, or the volume as it was opened, cannot be written.
    case readOnly
    /// The operating system refuses: rights, FUSE missing, limits.
    case notPermitted
    /// The storage failed.
    case inputOutput
    /// A server cannot be reached, does not answer, or is not ready.
    case unreachable
    /// One side of a connection does not accept who the other is: a certificate, a key, a session.
    case refused
    /// Something changed meanwhile, or is in the way of what was asked.
    case conflict
    /// Of several things some were done and some failed; each failure was told.
    case incomplete
    /// Stopped by a signal.
    case interrupted
}

/// A failed operation: one line that says what failed, on which object, and what to do.
public struct Failure: Error, Sendable, CustomStringConvertible {
    public var kind: FailureKind
    /// What failed, in plain words, without a final stop. Never holds a secret.
    public var message: String
    /// The file, blob, mount point or option that it is about.
    public var object: String?
    /// What the user can do about it.
    public var hint: String?
    /// The error number below it, if a system call failed.
    public var cause: Errno?

    public init(_ kind: FailureKind, _ message: String, object: String? = nil, hint: String? = nil, cause: Errno? = nil) {
        self.kind = kind
        self.message = message
        self.object = object
        self.hint = hint
        self.cause = cause
    }

    public var description: String {
        var text = message
        if let object { text = "\(object): \(text)" }
        if let cause { text += ": \(cause)" }
        return text
    }

    /// The error number that a program in a mount is given for this failure.
    public var errno: Errno {
        switch kind {
        case .noSpace: cause == .diskQuotaExceeded ? .diskQuotaExceeded : .noSpace
        case .readOnly: .readOnlyFileSystem
        case .busy: .resourceBusy
        case .notPermitted: .permissionDenied
        case .missing: .noSuchFileOrDirectory
        case .alreadyExists: .fileExists
        case .usage: .invalidArgument
        case .interrupted: .interrupted
        default: .ioError
        }
    }
}

extension Failure {
    /// The failure of a system call, sorted by its error number.
    public init(systemCall name: String, object: String, _ errno: Errno) {
        let kind: FailureKind =
            switch errno {
            case .noSpace, .diskQuotaExceeded: .noSpace
            case .readOnlyFileSystem: .readOnly
            case .noSuchFileOrDirectory, .notDirectory: .missing
            case .permissionDenied, .notPermitted: .notPermitted
            case .fileExists: .alreadyExists
            default: .inputOutput
            }
        self.init(kind, "\(name) failed", object: object, cause: errno)
    }
}
