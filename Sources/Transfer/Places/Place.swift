public import Client
public import Syscalls

/// Where files are, as the command line names it.
public enum Place: Hashable, Sendable {
    /// A path of this machine.
    case local(String)
    /// `file:///path`, a path of this machine in bytes.
    case file(RemotePath, namesDirectory: Bool)
    /// `drive:/path`: on the server that `efs remote add drive` noted.
    case remote(name: String, RemotePath, namesDirectory: Bool)
    /// `./vault:/path`: in a volume of this machine, named by its data directory, without mounting it.
    case volume(String, RemotePath, namesDirectory: Bool)

    /// A word before `:/`, or before a last `:`, names a remote; with a slash or a point at its start, a volume. Everything else
    /// is a local path: `./a:b` too, since no slash follows its colon.
    public init(_ text: String) throws(Failure) {
        guard !text.isEmpty else { throw Failure(.usage, "a path is empty") }
        if let place = try Self.url(text) {
            self = place
            return
        }
        let bytes = Array(text.utf8)
        let colon = UInt8(ascii: ":")
        let slash = UInt8(ascii: "/")
        let found = bytes.indices.first { bytes[$0] == colon && ($0 + 1 == bytes.count || bytes[$0 + 1] == slash) }
        let word = bytes.firstIndex(of: colon).map { Array(bytes[..<$0]) } ?? []
        if Self.isRemoteName(word) {
            // `drive:path` is taken for `drive:/path`.
            let rest = Array(bytes[(word.count + 1)...])
            self = .remote(
                name: String(decoding: word, as: UTF8.self), RemotePath.root.resolving(rest), namesDirectory: rest.last == slash)
        } else if let found, found > 0, bytes[..<found].contains(slash) || bytes[0] == UInt8(ascii: ".") {
            let rest = Array(bytes[(found + 1)...])
            self = .volume(
                String(decoding: bytes[..<found], as: UTF8.self), RemotePath.root.resolving(rest), namesDirectory: rest.last == slash)
        } else {
            self = .local(text)
        }
    }

    /// `efs://drive/a%FFb` and `file:///a%FFb`: percent-encoded, for names that no text can say.
    private static func url(_ text: String) throws(Failure) -> Place? {
        let broken = Failure(.usage, "this is no path in percent-encoding", object: text, hint: "write efs://REMOTE/PATH or file:///PATH")
        if text.hasPrefix("file:///") {
            guard let path = RemotePath(percentEncoded: text.dropFirst("file://".count)) else { throw broken }
            return .file(path, namesDirectory: text.hasSuffix("/"))
        }
        guard text.hasPrefix("efs://") else { return nil }
        let rest = text.dropFirst("efs://".count)
        let name = rest.prefix { $0 != "/" }
        guard isRemoteName(name.utf8), let path = RemotePath(percentEncoded: rest.dropFirst(name.count)) else { throw broken }
        return .remote(name: String(name), path, namesDirectory: text.hasSuffix("/"))
    }

    /// 1 to 64 letters, digits, `_` and `-`, beginning with a letter or digit.
    public static func isRemoteName(_ name: some Collection<UInt8>) -> Bool {
        guard let first = name.first, name.count <= 64 else { return false }
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
                || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
        }
        return isAlphanumeric(first) && name.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
    }

    /// Whether the text says that a directory is meant.
    public var namesDirectory: Bool {
        switch self {
        case .local(let path): path.hasSuffix("/")
        case .remote(_, let path, let named), .volume(_, let path, let named), .file(let path, let named): named || path.isRoot
        }
    }
}

extension Place {
    public var isVolume: Bool {
        if case .volume = self { true } else { false }
    }

    /// The name that a copy of it gets in a directory; nil for a root, `.` and `..`, whose content is meant then.
    public var lastName: [UInt8]? {
        let name: [UInt8]
        switch self {
        case .local(let path):
            let trimmed = path.last == "/" ? path.dropLast() : path[...]
            name = Array((trimmed.split(separator: "/").last ?? "").utf8)
        case .remote(_, let path, _), .volume(_, let path, _), .file(let path, _): name = path.name
        }
        return name.isEmpty || name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8) ? nil : name
    }

    /// Whether both are on one server, in one volume, or on this machine.
    public func isSameTree(as other: Place) -> Bool {
        switch (self, other) {
        case (.local, .local), (.file, .file), (.local, .file), (.file, .local): true
        case (.remote(let a, _, _), .remote(let b, _, _)): a == b
        case (.volume(let a, _, _), .volume(let b, _, _)): a == b
        default: false
        }
    }
}
