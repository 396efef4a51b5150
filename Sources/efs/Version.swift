/// The version of the program; CHANGELOG.md says what is in it.
enum Version {
    static let current = "0.1.0"
    /// The newest format of a volume that it reads and writes: docs/FORMAT.md.
    static let format = 1
}
