import Syscalls

/// The exit statuses: a contract with scripts, described in docs/EXIT_CODES.md and efs(1). Numbers are never reused.
enum ExitStatus {
    static let success: Int32 = 0

    static func of(_ kind: FailureKind) -> Int32 {
        switch kind {
        case .usage: 2
        case .notAVolume: 10
        case .notEmpty: 11
        case .wrongPassword: 12
        case .damaged: 13
        case .newerFormat: 14
        case .alreadyExists: 15
        case .busy: 16
        case .missing: 17
        case .rolledBack: 18
        case .noSpace: 19
        case .readOnly: 20
        case .notPermitted: 21
        case .inputOutput: 22
        case .unreachable: 23
        case .refused: 24
        case .conflict: 25
        case .incomplete: 26
        case .interrupted: 130
        }
    }

    /// What mount(8) expects of a helper: its own few numbers.
    static func ofMountHelper(_ kind: FailureKind) -> Int32 {
        switch kind {
        case .usage: 1
        case .interrupted: 8
        default: 32
        }
    }
}
