/// What a command of `efsctl` may say; each takes of it what it knows.
package struct AdminCommand: Codable, Sendable {
    package var name: String?
    package var fileSystem: String?
    package var cipher: String?
    /// The content of a public key file, base64.
    package var key: String?
    package var grants: [Grant]?
    package var quotaBytes: UInt64?
    package var requestsPerSecond: Int?
    package var days: Double?
    /// For `set-quota`: no quota at all.
    package var clearsQuota: Bool?
    /// A directory, for `backup`.
    package var directory: String?
    /// A path in a file system, for `audit`.
    package var path: String?
    package var head: String?
    package var limit: Int?
    /// A starter key in its text form.
    package var starterKey: String?

    package init() {}
}

/// What a command answers.
package struct AdminAnswer: Codable, Sendable {
    /// What was done, a line each.
    package var lines: [String] = []
    package var user: AdminUserAnswer?
    package var rows: [[String: String]]?
    /// Lines of a log, as they are.
    package var entries: [String]?
    /// What was checked is not as it should be.
    package var isBad: Bool?

    package init() {}
}

package struct AdminUserAnswer: Codable, Sendable {
    package var publicKey: String
    package var sha256: String
    package var sha1: String
    package var md5: String
    /// The content of the client bundle.
    package var bundle: String
    package var bundlePath: String
    package var privateKeyPath: String?
}
