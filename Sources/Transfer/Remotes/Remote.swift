public import Client
public import Identity
public import Syscalls

/// A server that `efs remote add` noted under a name. Files are named, never their contents.
public struct Remote: Sendable, Hashable, Codable {
    public var host: String
    public var port: Int
    /// The user's name on the server; nil for the name in the certificate.
    public var user: String?
    /// The file of the user's secret key: OpenPGP, OpenSSH or raw.
    public var userKey: String
    /// The client bundle.
    public var certificate: String
    /// A file whose first line is the passphrase of the user's key; nil asks.
    public var keyPassphraseFile: String?

    enum CodingKeys: String, CodingKey {
        case host
        case port
        case user
        case userKey = "user-key"
        case certificate = "cert"
        case keyPassphraseFile = "key-passphrase-file"
    }

    public init(host: String, port: Int, user: String?, userKey: String, certificate: String, keyPassphraseFile: String?) {
        self.host = host
        self.port = port
        self.user = user
        self.userKey = userKey
        self.certificate = certificate
        self.keyPassphraseFile = keyPassphraseFile
    }

    /// Splits `host`, `host:port` or `[address]:port`.
    public static func hostAndPort(_ text: String) throws(Failure) -> (host: String, port: Int) {
        var host = text
        var port = ClientConfiguration.defaultPort
        let colons = text.filter { $0 == ":" }.count
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if !rest.isEmpty {
                guard rest.hasPrefix(":"), let number = Int(rest.dropFirst()) else { throw badHost(text) }
                port = number
            }
        } else if colons == 1, let colon = text.firstIndex(of: ":") {
            guard let number = Int(text[text.index(after: colon)...]) else { throw badHost(text) }
            host = String(text[..<colon])
            port = number
        }
        guard !host.isEmpty, (1...65535).contains(port) else { throw badHost(text) }
        return (host, port)
    }

    private static func badHost(_ text: String) -> Failure {
        Failure(.usage, "this is no host", object: text, hint: "write NAME, NAME:PORT, or [ADDRESS]:PORT")
    }

    /// Reads key and certificate. `passphrase` is asked where the key is protected and no file has its passphrase.
    public func configuration(passphrase: PassphraseProvider) throws(Failure) -> ClientConfiguration {
        let bundle = try ClientBundle(file: certificate)
        let file = keyPassphraseFile
        let key = try UserSecretKey(file: userKey) { (what) throws(Failure) in
            guard let file else { return try passphrase(what) }
            return try KeyFile.firstLine(file)
        }
        guard let name = user ?? bundle.userName else {
            throw Failure(.usage, "the certificate names no user", object: certificate, hint: "name the user with --user")
        }
        return ClientConfiguration(host: host, port: port, user: name, userKey: key, bundle: bundle)
    }
}
