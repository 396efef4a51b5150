import Identity
import Sealing
import Synchronization

/// The time from one unsealing to the next sealing: the keys, the users, the volumes, and the sessions. Thread-safe.
final class Instance: Sendable {
    /// 16 random bytes: sessions are this instance's.
    let id: [UInt8]
    let serverID: [UInt8]
    let instanceKey: UserSecretKey
    let authority: CertificateAuthority
    let users: UserDirectory
    let sessions = SessionTable()
    let nonces = NonceTable()
    let activity = Activity()
    private let currentKeyring: Mutex<Keyring>
    private let currentTokenKeys: Mutex<TokenKeys>
    private let fileSystems: Mutex<[String: ServedFileSystem]>
    /// File systems that could not be opened, and why.
    let failures: Mutex<[String: String]>

    init(
        serverID: [UInt8], keyring: Keyring, instanceKey: UserSecretKey, authority: CertificateAuthority, tokenKeys: TokenKeys,
        users: UserDirectory, fileSystems: [String: ServedFileSystem], failures: [String: String]
    ) {
        id = RandomSource.system.bytes(count: 16)
        self.serverID = serverID
        currentKeyring = Mutex(keyring)
        self.instanceKey = instanceKey
        self.authority = authority
        self.users = users
        currentTokenKeys = Mutex(tokenKeys)
        self.fileSystems = Mutex(fileSystems)
        self.failures = Mutex(failures)
    }

    /// Changes with the starter key, under the administration's lock.
    var keyring: Keyring { currentKeyring.withLock { $0 } }
    func setKeyring(_ new: Keyring) { currentKeyring.withLock { $0 = new } }

    var tokenKeys: TokenKeys { currentTokenKeys.withLock { $0 } }
    func setTokenKeys(_ new: TokenKeys) { currentTokenKeys.withLock { $0 = new } }

    func fileSystem(_ name: String) -> ServedFileSystem? { fileSystems.withLock { $0[name] } }
    var allFileSystems: [ServedFileSystem] { fileSystems.withLock { $0.values.sorted { $0.name < $1.name } } }
    func add(_ fileSystem: ServedFileSystem) { fileSystems.withLock { $0[fileSystem.name] = fileSystem } }
    func takeFileSystems() -> [ServedFileSystem] {
        fileSystems.withLock { all in
            defer { all = [:] }
            return Array(all.values)
        }
    }
}
