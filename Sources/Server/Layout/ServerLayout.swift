import Syscalls

/// Where everything lies under the server's root (docs/SERVER.md, *On disk*).
struct ServerLayout: Sendable {
    let root: String

    var server: String { root + "/server" }
    var serverRecord: String { server + "/server.json" }
    var instanceKey: String { server + "/instance.key" }
    var tokenKeys: String { server + "/jwt.key" }
    var authorityKey: String { server + "/ca.key" }
    var authorityCertificate: String { server + "/ca.crt" }
    var tlsCertificate: String { server + "/tls.crt" }
    var tlsKey: String { server + "/tls.key" }
    var adminSocket: String { server + "/admin.sock" }
    /// Held by the process that serves.
    var lock: String { server + "/server.lock" }
    /// There while the starter key changes, from the moment when the new one counts.
    var rotation: String { server + "/rotation" }
    /// How far the audit log had come when the server was last sealed.
    var auditMark: String { server + "/audit.json" }
    var log: String { root + "/log" }
    var auditLog: String { log + "/audit.log" }

    func fileSystem(_ name: String) -> FileSystemLayout { FileSystemLayout(name: name, directory: root + "/" + name) }

    /// Names that are no file system's.
    static let reservedNames: Set<String> = ["server", "log", "lost+found"]

    /// 1 to 64 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit.
    static func checkName(_ name: String, of kind: String) throws(Failure) {
        let isGood =
            (1...64).contains(name.utf8.count) && name.utf8.first != UInt8(ascii: ".") && name.utf8.first != UInt8(ascii: "_")
            && name.utf8.first != UInt8(ascii: "-")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
        guard isGood, !reservedNames.contains(name) else {
            throw Failure(
                .usage, "'\(name.prefix(80))' is no name for a \(kind)",
                hint: "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first")
        }
    }
}

/// The places of one file system.
struct FileSystemLayout: Sendable {
    let name: String
    let directory: String

    var files: String { directory + "/files" }
    var system: String { directory + "/system" }
    var volumeKey: String { system + "/aes.key" }
    var filenameSalt: String { system + "/filename-salt" }
    var record: String { system + "/fs.json" }
    var usage: String { system + "/usage.json" }
    var users: String { system + "/users" }

    func user(_ name: String) -> String { users + "/" + name }
    func userRecord(_ name: String) -> String { user(name) + "/record.json" }
}
