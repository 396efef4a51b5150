/// What is kept of a file system beside its keys.
struct FileSystemRecord: Codable, Sendable {
    var name: String
    var quotaBytes: UInt64?
    /// Seconds since 1970.
    var created: Int64
}
