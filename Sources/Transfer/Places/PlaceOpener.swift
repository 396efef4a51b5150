public import Client
import FileSystem
public import Sealing
import Synchronization
public import Syscalls

/// Opens the trees that places name, each remote and volume once. `close` ends them.
public final class PlaceOpener: Sendable {
    public typealias VolumePassword = @Sendable (_ path: String) throws(Failure) -> SecretBytes

    private let book: RemoteBook?
    private let passphrase: @Sendable (String) throws(Failure) -> SecretBytes
    private let volumePassword: VolumePassword
    private let isReadOnly: Bool
    private let open = Mutex<[String: any Tree]>([:])

    /// - Parameters:
    ///   - book: where remotes are looked up; nil for the user's own.
    ///   - isReadOnly: volumes are opened for reading.
    public init(
        book: RemoteBook? = nil, isReadOnly: Bool, passphrase: @escaping @Sendable (String) throws(Failure) -> SecretBytes,
        volumePassword: @escaping VolumePassword
    ) {
        self.book = book
        self.isReadOnly = isReadOnly
        self.passphrase = passphrase
        self.volumePassword = volumePassword
    }

    /// The tree and the path in it. A local place is a tree of its own.
    public func tree(_ place: Place) throws(Failure) -> (any Tree, RemotePath) {
        switch place {
        case .local(let path): return (LocalTree(path), .root)
        case .file(let path, _): return (LocalTree("/"), path)
        case .remote(let name, let path, _): return (try kept("remote \(name)") { () throws(Failure) in try remote(name) }, path)
        case .volume(let directory, let path, _):
            return (try kept("volume \(directory)") { () throws(Failure) in try volume(directory) }, path)
        }
    }

    private func kept(_ key: String, _ make: () throws(Failure) -> any Tree) throws(Failure) -> any Tree {
        let found = open.withLock { $0[key] }
        if let found { return found }
        let tree = try make()
        open.withLock { $0[key] = tree }
        return tree
    }

    private func remote(_ name: String) throws(Failure) -> any Tree {
        let noted = if let book { book } else { try RemoteBook.ofUser() }
        let remote = try noted.remote(name)
        let configuration = try remote.configuration(passphrase: passphrase)
        do { return RemoteTree(try EFSClient(configuration), name: name, uploads: .ofUser) } catch {
            throw (error as? ClientError)?.failure(name) ?? Failure(.inputOutput, "\(error)", object: name)
        }
    }

    private func volume(_ directory: String) throws(Failure) -> any Tree {
        _ = try Volume.information(at: directory)  // what is wrong with the header is said before a password is asked
        var options = VolumeOptions()
        options.isReadOnly = isReadOnly
        return VolumeTree(try Volume.open(at: directory, password: try volumePassword(directory), options: options))
    }

    /// Makes what was written durable and ends sessions.
    public func close() async throws {
        let all = open.withLock { open in
            defer { open.removeAll() }
            return Array(open.values)
        }
        var first: (any Error)?
        for tree in all {
            do { try await tree.close() } catch { first = first ?? error }
        }
        if let first { throw first }
    }
}
