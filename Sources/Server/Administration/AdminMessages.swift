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
