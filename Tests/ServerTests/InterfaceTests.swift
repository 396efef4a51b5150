import FoundationEssentials
import NIOHTTP1
import Testing

@testable import Server

/// The OpenAPI document that is served, held against what the server does.
@Suite struct InterfaceTests {
    private func with(_ body: @Sendable (ServerFixture, TestSession, JSONValue) async throws -> Void) async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data", quotaBytes: 1 << 40)
            let session = try await fixture.open(try await fixture.makeUser("app1") { $0.quotaBytes = 1 << 30 })
            let document = try await session.client.request(.GET, "/v1/openapi.json")
            #expect(document.status == 200)
            #expect(document.headers.first(name: "Content-Type") == "application/json")
            try await body(fixture, session, document.json)
        }
    }

    private static let methods = ["get", "head", "put", "post", "delete", "patch", "options"]

    /// Every method on every path: what the document has is answered with a status that it names; what it has not is refused.
    @Test func whatIsDescribedIsServedAndNothingElse() async throws {
        try await with { (fixture, first, document) async throws in
            #expect(document["openapi"]?.text == "3.1.0")
            let paths = try #require(document["paths"]?.members)
            #expect(paths.count > 10)
            for (path, operations) in paths.sorted(by: { $0.key < $1.key }) {
                for method in Self.methods {
                    // Some end the session.
                    let session = try await fixture.open(first.user)
                    let target = path.replacing("{path}", with: "there").replacing("{id}", with: String(repeating: "0", count: 32))
                    _ = try await session.request(.PUT, "/v1/data/there", body: [1])
                    let answer = try await session.request(
                        HTTPMethod(rawValue: method.uppercased()), target, headers: [("Tus-Resumable", "1.0.0")])
                    if let responses = operations[method]?["responses"]?.members {
                        #expect(responses[String(answer.status)] != nil, "\(method) \(path): \(answer.status) is not described")
                        #expect(answer.status != 405, "\(method) \(path)")
                        try Self.check(answer, responses[String(answer.status)], document, "\(method) \(path)")
                    } else if method == "head", operations["get"] != nil {
                        #expect(answer.status < 400 || answer.status == 405, "\(method) \(path): \(answer.status)")
                    } else {
                        #expect(answer.status == 405, "\(method) \(path): \(answer.status) is not described")
                        if method != "head" { #expect(answer.headers.first(name: "Allow") != nil, "\(method) \(path)") }
                    }
                }
            }
        }
    }

    /// The body is of the type that is described, with all members that are required and none that is not described.
    private static func check(_ answer: TestClient.Answer, _ response: JSONValue?, _ document: JSONValue, _ what: String) throws {
        let response = resolve(response, document)
        guard let content = response?["content"]?.members, !answer.body.isEmpty else { return }
        let type = try #require(answer.headers.first(name: "Content-Type"))
        let described = try #require(content[type], "\(what): \(type) is not described")
        guard type.hasSuffix("json"), let schema = resolve(described["schema"], document), let properties = schema["properties"]?.members
        else { return }
        let members = try #require(answer.json.members, "\(what): \(answer.text)")
        for required in schema["required"]?.list.compactMap(\.text) ?? [] {
            #expect(members[required] != nil, "\(what): \(required) is missing")
        }
        for name in members.keys { #expect(properties[name] != nil, "\(what): \(name) is not described") }
    }

    private static func resolve(_ value: JSONValue?, _ document: JSONValue) -> JSONValue? {
        guard let reference = value?["$ref"]?.text else { return value }
        return reference.dropFirst(2).split(separator: "/").reduce(document as JSONValue?) { $0?[String($1)] }
    }

    /// The members of what is read, listed and made are those that are described.
    @Test func answersHaveTheirSchemas() async throws {
        try await with { (_, session, document) async throws in
            let responses = { (path: String, method: String, status: Int) in
                document["paths"]?[path]?[method]?["responses"]?[String(status)]
            }
            let put = try await session.request(.PUT, "/v1/data/d/f", body: [1, 2])
            try Self.check(put, responses("/v1/data/{path}", "put", 201), document, "PUT")
            let list = try await session.request(.GET, "/v1/data/d/")
            try Self.check(list, responses("/v1/data/{path}", "get", 200), document, "listing")
            let copy = try await session.request(.POST, "/v1/copy", body: Array(#"{"from":"/d/f","to":"/d/g"}"#.utf8))
            #expect(copy.status == 201)
            try Self.check(copy, responses("/v1/copy", "post", 201), document, "copy")
            let renewed = try await session.request(.POST, "/v1/auth/renew")
            try Self.check(renewed, responses("/v1/auth/renew", "post", 201), document, "renew")
            let missing = try await session.client.request(.GET, "/v1/data/d/f")
            #expect(missing.headers.first(name: "Content-Type") == "application/problem+json")
            try Self.check(missing, responses("/v1/data/{path}", "get", 401), document, "problem")
        }
    }
}

extension JSONValue {
    fileprivate var members: [String: JSONValue]? { if case .object(let object) = self { object } else { nil } }
}
