import FileSystem
import FoundationEssentials
import Glibc
import Identity
import Logging
import NIOHTTP1
import Sealing
import Synchronization
import Syscalls
import SystemPackage

@testable import Server

/// A clock that a test moves.
final class TestClock: Sendable {
    private let offset = Atomic<Int64>(0)

    func advance(_ seconds: Int64) { offset.wrappingAdd(seconds, ordering: .relaxed) }

    /// Time for rates stands still but for what the test says.
    var clock: WallClock {
        WallClock(
            now: { WallClock.system.now() + self.offset.load(ordering: .relaxed) },
            monotonic: { 1000 + Double(self.offset.load(ordering: .relaxed)) })
    }
}

/// A server in a directory of its own, on loopback, with a file system and a user.
final class ServerFixture: Sendable {
    let server: ServerCore
    let root: String
    let port: Int
    let clock: TestClock
    let starterKey: SecretBytes
    private let running: Task<Void, any Error>

    private init(server: ServerCore, root: String, port: Int, clock: TestClock, starterKey: SecretBytes, running: Task<Void, any Error>) {
        self.server = server
        self.root = root
        self.port = port
        self.clock = clock
        self.starterKey = starterKey
        self.running = running
    }

    /// Runs `body` with a server that is ended afterwards, whatever happens.
    @discardableResult
    static func with<R: Sendable>(
        root: String? = nil, starterKey: SecretBytes = .random(count: 32), keepsRoot: Bool = false,
        _ edit: (inout ServerOptions) -> Void = { _ in },
        _ body: (ServerFixture) async throws -> R
    ) async throws -> R {
        let directory = try root ?? Self.makeDirectory()
        var options = ServerOptions()
        options.root = directory
        options.address = "127.0.0.1"
        options.port = 0
        options.stateDirectory = directory + ".state"
        _ = mkdir(directory + ".state", 0o700)
        edit(&options)
        let clock = TestClock()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let server = try ServerCore(options: options, logger: logger, clock: clock.clock)
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let process = ServerProcess(server: server, handlesSignals: false) { port in
            continuation.yield(port)
            continuation.finish()
        }
        let running = Task {
            defer { continuation.finish() }
            try await process.run(starterKey: starterKey)
        }
        var port = 0
        for await number in ports { port = number }
        let fixture = ServerFixture(server: server, root: directory, port: port, clock: clock, starterKey: starterKey, running: running)
        do {
            if port == 0 { try await running.value }
            let result = try await body(fixture)
            await fixture.stop(removing: !keepsRoot)
            return result
        } catch {
            await fixture.stop(removing: !keepsRoot)
            throw error
        }
    }

    static func makeDirectory() throws -> String {
        var template = Array("/tmp/efs-server-test.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(systemCall: "mkdtemp", object: "/tmp", Errno.current) }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func stop(removing: Bool) async {
        server.stopGate.open()
        _ = await running.result
        if removing {
            try? FileManager.default.removeItem(atPath: root)
            try? FileManager.default.removeItem(atPath: root + ".state")
        }
    }

    /// A user with a key that was made for the test.
    struct TestUser: Sendable {
        var name: String
        var key: UserSecretKey
        var bundle: ClientBundle
    }

    func makeUser(
        _ name: String, fileSystem: String = "data", grants: [Grant]? = nil, _ edit: (inout ServerCore.NewUser) -> Void = { _ in }
    ) async throws -> TestUser {
        let key = UserSecretKey.generate()
        var new = ServerCore.NewUser(name: name, fileSystem: fileSystem)
        new.key = Array(key.publicKey.base64.utf8)
        if let grants { new.grants = grants }
        edit(&new)
        let created = try await server.createUser(new)
        return TestUser(name: name, key: key, bundle: try ClientBundle(file: created.bundle))
    }

    func connect(_ user: TestUser?) async throws -> TestClient {
        let authority = try Self.authority(of: root)
        return try await TestClient.connect(port: port, authority: authority, bundle: user?.bundle)
    }

    static func authority(of root: String) throws -> [UInt8] {
        let pem = try KeyFile.read(root + "/server/ca.crt")
        return try ClientBundle(parsing: pem, named: "ca.crt").certificateDER
    }
}

/// Tokens of a session.
struct TestSession: Sendable {
    var user: ServerFixture.TestUser
    var client: TestClient
    var basic: String
    var token: String

    var headers: [(String, String)] { [("Authorization", "Basic \(basic)"), ("Efs-Session", token)] }

    func request(
        _ method: HTTPMethod, _ path: String, headers: [(String, String)] = [], body: [UInt8] = []
    ) async throws -> TestClient.Answer {
        try await client.request(method, path, headers: self.headers + headers, body: body)
    }
}

/// The handshake, step by step, so that a test can spoil any of them.
struct TestHandshake: Sendable {
    var user: String
    var key: UserSecretKey
    var clientNonce = RandomSource.system.bytes(count: 32)
    var transcript: Transcript
    var nonceAnswer: [String: JSONValue] = [:]

    init(_ user: ServerFixture.TestUser, _ client: TestClient) {
        self.user = user.name
        key = user.key
        transcript = Transcript(
            user: user.name, keyFingerprint: DigestHasher.digest(of: user.key.publicKey.rawBytes).bytes, serverID: [],
            serverCertificate: client.serverCertificate, clientCertificate: user.bundle.certificateFingerprint, serverNonce: [],
            clientNonce: [], expires: 0)
        transcript.clientNonce = clientNonce
    }

    /// Asks for a nonce.
    mutating func begin(_ client: TestClient) async throws -> TestClient.Answer {
        let body = """
            {"user":"\(user)","keyFingerprint":"\(Base64URL.encode(transcript.keyFingerprint))","clientNonce":"\(Base64URL.encode(clientNonce))"}
            """
        let answer = try await client.request(.POST, "/v1/auth/nonce", body: Array(body.utf8))
        guard answer.status == 200 else { return answer }
        nonceAnswer = try JSONDecoder().decode([String: JSONValue].self, from: Data(answer.body))
        transcript.serverID = Base64URL.decode(nonceAnswer["serverID"]?.text ?? "") ?? []
        transcript.serverNonce = Base64URL.decode(nonceAnswer["nonce"]?.text ?? "") ?? []
        transcript.expires = Int64(nonceAnswer["expires"]?.number ?? 0)
        return answer
    }

    /// Signs and asks for a session.
    func end(_ client: TestClient, signature: [UInt8]? = nil) async throws -> TestClient.Answer {
        let signature = signature ?? key.signature(for: transcript.encoded(for: .clientSession))
        let body = """
            {"user":"\(user)","keyFingerprint":"\(Base64URL.encode(transcript.keyFingerprint))",\
            "nonce":"\(Base64URL.encode(transcript.serverNonce))","clientNonce":"\(Base64URL.encode(clientNonce))",\
            "signature":"\(Base64URL.encode(signature))"}
            """
        return try await client.request(.POST, "/v1/auth/session", body: Array(body.utf8))
    }
}

/// A JSON value of an answer.
enum JSONValue: Decodable, Sendable {
    case text(String)
    case number(Double)
    case list([JSONValue])
    case object([String: JSONValue])
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let list = try? container.decode([JSONValue].self) {
            self = .list(list)
        } else if let object = try? container.decode([String: JSONValue].self) {
            self = .object(object)
        } else {
            self = .other
        }
    }

    var text: String? { if case .text(let text) = self { text } else { nil } }
    var number: Double? { if case .number(let number) = self { number } else { nil } }
    var list: [JSONValue] { if case .list(let list) = self { list } else { [] } }
    subscript(_ name: String) -> JSONValue? { if case .object(let object) = self { object[name] } else { nil } }
}

extension TestClient.Answer {
    var json: JSONValue { (try? JSONDecoder().decode(JSONValue.self, from: Data(body))) ?? .other }
    var code: String? { json["code"]?.text }
}

extension ServerFixture {
    /// A session over a connection of its own.
    func open(_ user: TestUser) async throws -> TestSession {
        let client = try await connect(user)
        var handshake = TestHandshake(user, client)
        _ = try await handshake.begin(client)
        let answer = try await handshake.end(client)
        guard answer.status == 201, let basic = answer.json["basic"]?.text, let token = answer.json["session"]?.text else {
            throw Failure(.notPermitted, "the handshake failed: \(answer.status) \(answer.text)")
        }
        return TestSession(user: user, client: client, basic: basic, token: token)
    }
}

extension ServerFixture {
    /// What a crash right now would leave, under another root.
    func copyRoot(to directory: String) throws { try Self.copyTree(root, to: directory) }

    /// Directories and plain files; not sockets.
    static func copyTree(_ source: String, to target: String) throws {
        try ServerFiles.makeDirectory(target)
        for name in try ServerFiles.names(in: source) {
            let (from, to) = ("\(source)/\(name)", "\(target)/\(name)")
            if ServerFiles.isDirectory(from) {
                try copyTree(from, to: to)
            } else if !name.hasSuffix(".sock"), name != "efs.reserve" {
                try FileManager.default.copyItem(atPath: from, toPath: to)
            }
        }
    }

    /// Another connection of the session's user.
    func connectAgain(_ session: TestSession) async throws -> TestClient {
        try await TestClient.connect(port: port, authority: try Self.authority(of: root), bundle: session.user.bundle)
    }
}
