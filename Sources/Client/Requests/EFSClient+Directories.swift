import NIOHTTP1

extension EFSClient {
    /// Makes a directory and its parents; nothing happens if it is there.
    public func makeDirectory(_ path: RemotePath) async throws {
        let uri = Self.dataURI(path)
        try await send(ClientRequest(method: .PUT, uri: uri.hasSuffix("/") ? uri : uri + "/")) { _, _ in }
    }

    /// A page of at most `limit` entries (1 to 10000), in no order by name.
    public func list(_ path: RemotePath, after: String? = nil, limit: Int = 1000) async throws -> ListingPage {
        let uri = Self.dataURI(path)
        var query = "?limit=\(limit)"
        if let after { query += "&after=" + RemotePath(components: [Array(after.utf8)]).percentEncoded.dropFirst() }
        let host = configuration.host
        return try await send(ClientRequest(method: .GET, uri: (uri.hasSuffix("/") ? uri : uri + "/") + query)) { head, body in
            guard head.headers.first(name: "Content-Type")?.hasPrefix("application/json") == true else {
                throw ClientError.malformed(host: host, what: "the answer is no listing")
            }
            let page = try await JSONAnswer.read(ListingDocument.self, body, host: host)
            return ListingPage(
                entries: try page.entries.map { document in
                    guard let entry = document.entry else {
                        throw ClientError.malformed(host: host, what: "a listing with a name that is none")
                    }
                    return entry
                }, next: page.next)
        }
    }

    /// Calls `visit` with each page to the end.
    public func forEachPage(_ path: RemotePath, _ visit: ([Entry]) async throws -> Void) async throws {
        var next: String?
        repeat {
            let page = try await list(path, after: next)
            try await visit(page.entries)
            next = page.next
        } while next != nil
    }

    public func fileSystem() async throws -> FileSystemInformation {
        let host = configuration.host
        return try await send(ClientRequest(method: .GET, uri: "/v1/file-system")) { _, body in
            try await JSONAnswer.read(FileSystemInformation.self, body, host: host)
        }
    }

    /// Wipes the decrypted copies of this file system that the server keeps.
    public func clearCache() async throws -> ClearedCache {
        let host = configuration.host
        return try await send(ClientRequest(method: .POST, uri: "/v1/cache/clear")) { _, body in
            try await JSONAnswer.read(ClearedCache.self, body, host: host)
        }
    }
}

private struct ListingDocument: Decodable, Sendable {
    var entries: [EntryDocument]
    var next: String?
}
