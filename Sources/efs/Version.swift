import ProductVersion

enum Version {
    static let current = ProductVersion.text
    /// The newest format of a volume that it reads and writes: docs/FORMAT.md.
    static let format = 1
}
