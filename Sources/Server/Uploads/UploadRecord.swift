/// What a resumable upload is for. Kept with the file in the volume, so that it survives the server.
struct UploadRecord: Codable, Sendable {
    var user: String
    /// Base64url of the path as bytes.
    var path: String
    var length: UInt64
    /// Seconds since 1970 and nanoseconds.
    var modified: Int64?
    var modifiedNanoseconds: UInt32?
    var mode: UInt32?
    /// Of the whole content, 64 hexadecimal digits.
    var sha256: String?
    var ifMatch: String?
    var ifNoneMatch: String?
}
